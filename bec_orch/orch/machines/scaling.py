"""The machines of a job on EC2: planned in words first, then made, drained and removed.

Draining: a machine that has to go is held back by the group's hook `bec-drain`. Its worker finds in the machine's
metadata that the group ends it (`bec_orch.io.aws.imds`), stops at a page boundary, gives its task back and ends; then
systemd switches the machine off. Should the worker not find it, the machine goes when the hook's time is over, and
systemd sends the worker SIGTERM on the way down.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain

from bec_orch.core.records.overview import WorkerCondition, WorkerView
from bec_orch.errors import ConfigError, RetryableError, UsageError
from bec_orch.io.aws.ec2 import Ec2Fleet, Group, GroupMachine, MachineSpec, Mix, digest
from bec_orch.orch.machines.plans import Action, Plan
from bec_orch.orch.machines.prices import PriceTable

# What a stop takes beyond the grace: the last write of a task's end, and the worker's signing off. The grace, this and
# the 5 s until a notice is seen fit into the 120 s that a spot machine has from its notice.
STOP_MARGIN_SECONDS = 20
# What the hook leaves beyond that: the machine's own way down.
_SHUTDOWN_SECONDS = 40
_LOOK_EVERY_SECONDS = 10.0
_GONE_AFTER_SECONDS = 300.0
_MOST_MACHINES = 500


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """A machine of the group, the workers on it that have not ended, and its price by the hour if that is known."""

    machine: GroupMachine
    workers: tuple[WorkerView, ...]
    hourly: float | None

    @property
    def is_idle(self) -> bool:
        """Whether no worker on it is at a task."""
        return not any(worker.doing for worker in self.workers)


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """Where a job's machines stand.

    `elsewhere` are workers of the job on no machine of the group; `failed_launches` are AWS's reasons, the newest
    first; `hourly` is what all machines cost by the hour, None when a part is unknown.
    """

    group: Group | None
    machines: tuple[MachineStatus, ...]
    elsewhere: tuple[WorkerView, ...]
    failed_launches: tuple[str, ...]
    hourly: float | None
    currency: str


class FleetScaling:
    """Plans the machines of one job, and shows them.

    Args:
        fleet: the job's template and group.
        prices: what machines cost, for the words of plans and for the status.
        grace: seconds that a worker has for stopping.
        wait: sleeps; a test hands in another one.
    """

    def __init__(
        self, fleet: Ec2Fleet, prices: PriceTable, *, grace: float, wait: Callable[[float], None] = time.sleep
    ) -> None:
        self._fleet = fleet
        self._prices = prices
        self._drain_seconds = drain_seconds(grace)
        self._wait = wait

    def plan_up(self, count: int, mix: Mix | None, spec: Callable[[], MachineSpec]) -> Plan:
        """Plan to have `count` machines; without a group it is made, and the launch template with it.

        Args:
            count: machines in all, not on top of those that run.
            mix: which machines; None: as the group has it.
            spec: returns what each machine is from now on; those that run stay as they are. Not asked for a stack's.

        Raises:
            UsageError: there are more machines already (E_SCALE_SMALLER), `mix` is needed (E_SCALE_MIX), or a stack
                owns the group and another mix is asked for (E_SCALE_STACK).
            ConfigError: a group or template of this name was made by something else (E_SCALE_FOREIGN).
        """
        _check_count(count)
        group = self._group()
        if group is None:
            return self._plan_new(count, mix, spec())
        if count < group.desired:
            raise UsageError(
                f"The job {self._fleet.job} has {_machines(group.desired)} already, more than {count}.",
                code="E_SCALE_SMALLER",
                hint=f"`bec scale down {self._fleet.job} --to {count}` drains the others.",
            )
        wanted = mix or group.mix
        changes = self._stack_refuses(group, wanted) if group.stack else self._changes(group, wanted, spec())
        return Plan((*changes, *self._by_hand(group), *self._size(group, count)), self._price_of(count, wanted))

    def plan_down(self, to: int = 0, workers: Sequence[WorkerView] = ()) -> Plan:
        """Plan to have only `to` machines left. Those go first whose workers are idle; the group and template stay.

        Raises:
            ConfigError: a group of this name was made by something else (E_SCALE_FOREIGN).
        """
        group = self._group()
        if group is None:
            return Plan((), (f"The job {self._fleet.job} has no machines.",))
        if group.desired <= to:
            return Plan(self._by_hand(group), (f"The job {self._fleet.job} has {_machines(group.desired)}.",))
        going = self._going(group, group.desired - to, workers) if to else []
        removed = [
            Action(f"drain and remove {_shown(one)}", partial(self._fleet.remove_machine, one.machine.instance_id))
            for one in going
        ]
        return Plan((*self._by_hand(group), *removed, *self._size(group, to)), (self._draining(),))

    def plan_auto(self, minimum: int, maximum: int, backlog_per_worker: float, queue: str) -> Plan:
        """Plan to let the group's size follow its queue, between two bounds.

        Args:
            minimum: machines at least.
            maximum: machines at most.
            backlog_per_worker: waiting messages that one machine is for.
            queue: name of the job's queue.

        Raises:
            UsageError: the bounds or the backlog make no sense (E_SCALE_BOUNDS), or there is no group
                (E_SCALE_NO_GROUP).
            ConfigError: a group of this name was made by something else (E_SCALE_FOREIGN).
        """
        _check_bounds(minimum, maximum, backlog_per_worker)
        group = self._group()
        if group is None:
            raise UsageError(
                f"The job {self._fleet.job} has no group of machines yet.",
                code="E_SCALE_NO_GROUP",
                hint=f"`bec scale up {self._fleet.job} --count {minimum} --instance-type TYPE` makes it.",
            )
        desired = min(max(group.desired, minimum), maximum)
        bounds = Action(
            f"let the group {group.name} have {minimum} to {_machines(maximum)}, {desired} of them now",
            partial(self._fleet.resize, minimum, maximum, desired),
        )
        follow = Action(
            f"let its size follow the queue {queue}: a machine for every {backlog_per_worker:g} waiting messages",
            partial(self._fleet.follow_backlog, queue, backlog_per_worker),
        )
        return Plan((bounds, follow), self._price_of(maximum, group.mix))

    def plan_destroy(self) -> Plan:
        """Plan to drain all machines, and to remove the group and the launch template.

        Raises:
            UsageError: a stack owns the group (E_SCALE_STACK).
            ConfigError: a group or template of this name was made by something else (E_SCALE_FOREIGN).
        """
        group, name = self._group(), self._fleet.name
        if group and group.stack:
            raise _owned_by_stack(group, "is removed with it: `aws cloudformation delete-stack`")
        template = Action(f"remove the launch template {name}", self._fleet.delete_template)
        templates = (template,) if self._template() is not None else ()
        if group is None:
            return Plan(templates, () if templates else (f"The job {self._fleet.job} has no machines.",))
        wait = Action("wait until the last machine is gone", self._wait_until_gone)
        drained = (*self._by_hand(group), *self._size(group, 0), wait) if group.desired or group.machines else ()
        removed = Action(f"remove the group {name}", self._fleet.delete_group)
        return Plan((*drained, removed, *templates), (self._draining(),) if drained else ())

    def status(self, workers: Sequence[WorkerView]) -> FleetStatus:
        """Put the group's machines beside the job's workers.

        Args:
            workers: the job's workers, as `Overview.workers` returns them.
        """
        group = self._fleet.group()
        live = [worker for worker in workers if worker.condition is not WorkerCondition.STOPPED]
        machines = tuple(self._machine(one, live) for one in group.machines) if group else ()
        placed = {worker.id for one in machines for worker in one.workers}
        prices = [one.hourly for one in machines]
        return FleetStatus(
            group=group,
            machines=machines,
            elsewhere=tuple(worker for worker in live if worker.id not in placed),
            failed_launches=self._fleet.failed_launches() if group else (),
            hourly=_sum(prices),
            currency=self._prices.currency,
        )

    def _group(self) -> Group | None:
        group = self._fleet.group()
        if group and not group.managed_by and not group.stack:
            raise _foreign(f"the group {group.name}")
        return group

    def _template(self) -> str | None:
        found = self._fleet.template_digest()
        if found is not None and not found.startswith("sha256:"):
            raise _foreign(f"the launch template {self._fleet.name}")
        return found

    def _plan_new(self, count: int, mix: Mix | None, spec: MachineSpec) -> Plan:
        if mix is None:
            raise UsageError(
                f"The job {self._fleet.job} has no machines yet: say of which type.",
                code="E_SCALE_MIX",
                hint="Give --instance-type TYPE[,TYPE2], and --spot for spot machines.",
            )
        create = Action(
            f"make the group {self._fleet.name} for {_kind(mix)} in {', '.join(spec.subnets)}",
            partial(self._fleet.create_group, spec.subnets, mix),
        )
        # The hook comes before the first machine: none ever goes without it.
        start = (self._hook(), self._resize(count, 0))
        return Plan((*self._template_changes(spec), create, *start), self._price_of(count, mix))

    def _changes(self, group: Group, mix: Mix, spec: MachineSpec) -> tuple[Action, ...]:
        change = Action(
            f"let the group {group.name} take {_kind(mix)} from now on, not {_kind(group.mix)}",
            partial(self._fleet.change_mix, mix),
        )
        changes = (change,) if mix != group.mix else ()
        hooks = (self._hook(),) if group.drain_seconds != self._drain_seconds else ()
        return (*self._template_changes(spec), *changes, *hooks)

    def _template_changes(self, spec: MachineSpec) -> tuple[Action, ...]:
        found = self._template()
        what = f"image {spec.image}, role {spec.instance_profile}, {spec.disk_gib} GiB of disk"
        if found is None:
            words = f"make the launch template {self._fleet.name} ({what})"
            return (Action(words, partial(self._fleet.create_template, spec)),)
        if found != digest(spec):
            words = f"make a new version of the launch template {self._fleet.name} ({what}), for new machines only"
            return (Action(words, partial(self._fleet.renew_template, spec)),)
        return ()

    def _stack_refuses(self, group: Group, mix: Mix) -> tuple[Action, ...]:
        if mix != group.mix:
            raise _owned_by_stack(group, "has its machine types from the stack's parameters: change them there")
        return ()

    def _by_hand(self, group: Group) -> tuple[Action, ...]:
        if group.target is None:
            return ()
        return (Action(f"let the size of the group {group.name} follow its queue no more", self._fleet.forget_backlog),)

    def _size(self, group: Group, count: int) -> tuple[Action, ...]:
        if (group.minimum, group.maximum, group.desired) == (0, count, count):
            return ()
        return (self._resize(count, group.desired),)

    def _resize(self, count: int, now: int) -> Action:
        words = f"set the group {self._fleet.name} to {_machines(count)} (now {now})"
        return Action(words, partial(self._fleet.resize, 0, count, count))

    def _hook(self) -> Action:
        words = f"let the group {self._fleet.name} keep a machine that has to go for {self._drain_seconds} s"
        return Action(words, partial(self._fleet.keep_going_machines, self._drain_seconds))

    def _going(self, group: Group, number: int, workers: Sequence[WorkerView]) -> list[MachineStatus]:
        """Choose who goes: the idle first, so that no task is given back for nothing."""
        there = [one for one in self.status(workers).machines if not one.machine.state.startswith("Terminat")]
        not_yet_launched = max(0, group.desired - len(there))
        return sorted(there, key=lambda one: not one.is_idle)[: max(0, number - not_yet_launched)]

    def _machine(self, machine: GroupMachine, workers: Iterable[WorkerView]) -> MachineStatus:
        there = tuple(worker for worker in workers if machine.instance_id in _names_of(worker))
        return MachineStatus(machine, there, self._prices.hourly(machine.instance_type, spot=machine.spot))

    def _wait_until_gone(self) -> None:
        looks = int((self._drain_seconds + _GONE_AFTER_SECONDS) / _LOOK_EVERY_SECONDS)
        for _ in range(looks):
            group = self._fleet.group()
            if group is None or not group.machines:
                return
            self._wait(_LOOK_EVERY_SECONDS)
        raise RetryableError(
            f"The machines of the job {self._fleet.job} are not gone yet.",
            code="E_SCALE_DRAINING",
            hint="They are being drained: run the same command again in some minutes.",
        )

    def _draining(self) -> str:
        return (
            "A machine that goes finishes its page and gives its task back; finished pages are kept. "
            f"It is gone after {self._drain_seconds} s at most."
        )

    def _price_of(self, count: int, mix: Mix) -> tuple[str, ...]:
        known = [(self._prices.hourly(name, spot=mix.spot), name) for name in mix.types]
        unknown = [name for price, name in known if price is None]
        if unknown:
            return (f"What this costs is unknown: the table of prices has no {_bought(mix)} price of {unknown[0]}.",)
        most = max(chain((price for price, _ in known if price is not None), (0.0,))) * count
        return (f"{_machines(count)} cost at most {most:.2f} {self._prices.currency} an hour.",)


def drain_seconds(grace: float) -> int:
    """Return how long the group's hook keeps a machine that has to go, for a worker with this grace."""
    return round(grace) + STOP_MARGIN_SECONDS + _SHUTDOWN_SECONDS


def _check_count(count: int) -> None:
    if not 1 <= count <= _MOST_MACHINES:
        raise UsageError(f"{count} is not a number of machines from 1 to {_MOST_MACHINES}.", code="E_SCALE_BOUNDS")


def _check_bounds(minimum: int, maximum: int, backlog_per_worker: float) -> None:
    if minimum < 1:
        raise UsageError(
            "A group of no machines would never wake: it has no backlog per machine.",
            code="E_SCALE_BOUNDS",
            hint="Give --min 1 or more; `bec scale down` ends the last machine.",
        )
    if not minimum <= maximum <= _MOST_MACHINES or backlog_per_worker <= 0:
        raise UsageError(
            f"From {minimum} to {maximum} machines for {backlog_per_worker:g} messages each is impossible.",
            code="E_SCALE_BOUNDS",
            hint=f"--max must be from --min to {_MOST_MACHINES}, and --backlog-per-worker more than 0.",
        )


def _foreign(what: str) -> ConfigError:
    return ConfigError(
        f"There is {what}, but nothing of this program made it.",
        code="E_SCALE_FOREIGN",
        hint="Remove it, or give the job another name.",
    )


def _owned_by_stack(group: Group, why: str) -> UsageError:
    return UsageError(
        f"The group {group.name} belongs to the CloudFormation stack {group.stack}, and {why}.", code="E_SCALE_STACK"
    )


def _kind(mix: Mix) -> str:
    return f"{_bought(mix)} machines of {' or '.join(mix.types)}"


def _bought(mix: Mix) -> str:
    return "spot" if mix.spot else "on-demand"


def _machines(count: int) -> str:
    return f"{count} machine{'' if count == 1 else 's'}"


def _shown(one: MachineStatus) -> str:
    tasks = [f"{task.w_id}/{task.i_id} at page {task.pages_done}" for worker in one.workers for task in worker.doing]
    return f"{one.machine.instance_id} ({', '.join(tasks) or 'idle'})"


def _names_of(worker: WorkerView) -> tuple[str | None, str]:
    # The host's name is the instance id, too, should the metadata service not have given it.
    return worker.instance_id, worker.host.partition(".")[0]


def _sum(prices: Sequence[float | None]) -> float | None:
    known = [price for price in prices if price is not None]
    return sum(known) if len(known) == len(prices) else None
