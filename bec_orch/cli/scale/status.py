"""How the machines of a job, or its workers on this machine, are shown."""

from collections.abc import Sequence
from typing import Any

from bec_orch.cli.terminal.console import note, print_json, print_rows, say
from bec_orch.core.records.overview import WorkerView
from bec_orch.core.wording import counted
from bec_orch.orch.machines.local import LocalWorker
from bec_orch.orch.machines.scaling import FleetStatus, MachineStatus

_MACHINES = {
    "machine": "machine",
    "type": "type",
    "state": "state",
    "price": "an hour",
    "workers": "workers",
    "doing": "doing",
}
_LOCAL = {"number": "worker", "pid": "process", "state": "state", "doing": "doing", "log": "log"}


def show_fleet(status: FleetStatus, *, as_json: bool) -> None:
    """Print where the machines of a job stand."""
    if as_json:
        print_json(status)
        return
    group = status.group
    if group is None:
        say("There is no group of machines: `bec scale up` makes one.")
    else:
        say(f"{group.name}: {counted(group.desired, 'machine')} wanted, from {group.minimum} to {group.maximum}.")
        if group.target is not None:
            say(f"Its size follows the queue: a machine for every {group.target:g} waiting messages.")
        rows = [_machine_row(one, status.currency) for one in status.machines]
        print_rows(rows, _MACHINES, empty="No machine runs.")
    if status.machines:
        known = "unknown" if status.hourly is None else f"{status.hourly:.2f} {status.currency}"
        say(f"All together, an hour: {known}")
    for worker in status.elsewhere:
        say(f"elsewhere: {worker.id} on {worker.host}, {_state(worker)}")
    for reason in status.failed_launches:
        note(f"warning: a machine could not be started: {reason}")


def show_local(workers: Sequence[LocalWorker], *, as_json: bool) -> None:
    """Print the workers that were started on this machine."""
    if as_json:
        print_json(workers)
    else:
        print_rows([_local_row(worker) for worker in workers], _LOCAL, empty="No worker was started here.")


def _machine_row(one: MachineStatus, currency: str) -> dict[str, Any]:
    machine = one.machine
    bought = "spot" if machine.spot else "on-demand"
    return {
        "machine": machine.instance_id,
        "type": f"{machine.instance_type or 'unknown'}, {bought}, {machine.zone}",
        "state": machine.state,
        "price": "unknown" if one.hourly is None else f"{one.hourly:.3f} {currency}",
        "workers": ", ".join(map(_state, one.workers)),
        "doing": ", ".join(map(_doing, one.workers)),
    }


def _local_row(worker: LocalWorker) -> dict[str, Any]:
    ended = "" if worker.running else "ended"
    return {
        "number": worker.number,
        "pid": str(worker.pid),
        "state": ended or (_state(worker.view) if worker.view else "starting"),
        "doing": _doing(worker.view) if worker.view else "",
        "log": str(worker.log),
    }


def _state(worker: WorkerView) -> str:
    return f"{worker.condition.value}, heard of {worker.silent_seconds:.0f} s ago"


def _doing(worker: WorkerView) -> str:
    return ", ".join(f"{task.w_id}/{task.i_id} {task.pages_done}/{task.pages_total}" for task in worker.doing)
