"""The life of tasks as a state machine: whatever workers, operators and faults do in whatever order, nothing is lost.

Every rule drives the program's own code against a real database, queue and folders of artefacts; only time is the
model's. After each step of any process its invariants hold, and whenever the faults stop, all work comes to its end.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bec_orch.core.tasks import IfMissing
from bec_orch.errors import RetryableError
from tests.model.actors import BLAMES_TASK, PAGE, Actor, Fate
from tests.model.archive import BACKOFF, FIRST, JOBS, LEASE, REDISPATCH, SECOND, Archive, body_of
from tests.model.history import DELETED, PUBLICATION, RENEWAL, History

WORKERS = 3
# More calls than any process makes in one life.
_TO_THE_END = 100
_SLOT = st.integers(0, WORKERS - 1)
_CALLS = st.integers(1, 20)
_WHICH = st.integers(0, 11)
_JOB = st.sampled_from(JOBS)
_VOLUME = st.integers(0, 2)
_FATE = st.sampled_from([Fate.AWAY, Fate.LOST, Fate.KILLED, Fate.KILLED_AFTER])
_HOW: dict[str, dict[str, bool]] = {
    "plain": {},
    "force": {"force": True},
    "stale": {"stale": True},
    "refresh": {"refresh": True},
    "adopt": {"adopt_foreign": True},
}
# Calls that leave tasks as they are.
_NO_WORD_TO_THE_DATABASE = ("artefacts.", "files.", "source.", PAGE)
_CHANGES = ["scan", "config 1", "config 2", "needs", "needs or fail", "needs or proceed", "needs nothing", "delete"]
_MISHAPS = {
    "lose": "DELETE FROM queue_messages WHERE id = %s",
    "lose all": "DELETE FROM queue_messages m USING queue_messages l WHERE l.id = %s AND m.queue = l.queue",
    "double": "INSERT INTO queue_messages (queue, body) SELECT queue, body FROM queue_messages WHERE id = %s",
    "show": "UPDATE queue_messages SET visible_at = clock_timestamp() WHERE id = %s",
}
_CUT = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state = 'idle in transaction'"
)
# The longest that anything may take once the faults stopped: a lease runs out, its message was lost, the last backoff.
_PATIENCE = LEASE + REDISPATCH + BACKOFF.cap
_PACE = LEASE / 2


class LifeOfATask(RuleBasedStateMachine):
    """Workers, operators and faults over one archive, which a subclass names."""

    archive: Archive

    def __init__(self) -> None:
        super().__init__()
        self.archive.reset()
        self.history = History(self.archive)
        self.workers: list[Actor | None] = [None] * WORKERS
        self.born = 0
        self.sound = True

    @initialize(jobs=st.sampled_from([(FIRST,), JOBS]))
    def enqueue_all(self, jobs: tuple[str, ...]) -> None:
        """Every history begins with something to do."""
        for job in jobs:
            self._do(self.archive.enqueue(job, self.archive.volumes), _TO_THE_END)

    # What workers do

    @rule(slot=_SLOT, calls=_CALLS)
    def work(self, slot: int, calls: int) -> None:
        """A worker goes on for some calls; an idle one takes a message first."""
        job, other = JOBS[slot % 2], JOBS[(slot + 1) % 2]
        actor = self.workers[slot] or self._receive(job) or self._receive(other)
        if actor is not None:
            self.workers[slot] = actor
            self._let_go(actor, calls)

    @rule(slot=_SLOT, calls=_CALLS, fate=_FATE, times=st.integers(1, 3))
    def work_and_fail(self, slot: int, calls: int, fate: Fate, times: int) -> None:
        """A worker goes on for some calls, and the next goes wrong, or is its last."""
        self.work(slot, calls)
        actor = self.workers[slot]
        if actor is not None:
            self._let_repeatedly(actor, fate, times)

    @precondition(lambda self: self.busy)
    @rule(which=_WHICH, fate=st.sampled_from([Fate.FAULT, Fate.HOPELESS]))
    def work_on_a_bad_volume(self, which: int, fate: Fate) -> None:
        """The volume that a worker is at, or the job, turns out to be bad."""
        actor = self._one_of(self.busy, which)
        while not actor.ended and actor.at not in BLAMES_TASK:
            self._let(actor, Fate.GO)
        self._let_repeatedly(actor, fate, 1)
        self._let_go(actor, _TO_THE_END)

    @precondition(lambda self: self.renewing and None in self.workers)
    @rule(which=_WHICH, calls=_CALLS, then=_CALLS)
    def stand_still_and_be_overtaken(self, which: int, calls: int, then: int) -> None:
        """A worker does nothing for longer than its lease; another one gets its task; then the first one goes on."""
        actor = self._one_of(self.renewing, which)
        self.archive.clock.advance(LEASE + 1)
        self._do(self.archive.maintain(actor.job), _TO_THE_END)
        heir = self._receive(actor.job)
        if heir is not None:
            self.workers[self.workers.index(None)] = heir
            self._let_go(heir, calls)
        self._let_go(actor, then)

    @precondition(lambda self: self.renewing)
    @rule(quarters=st.integers(1, 8))
    def work_for_long(self, quarters: int) -> None:
        """Time passes, and every worker keeps its lease."""
        for _ in range(quarters):
            self.archive.clock.advance(LEASE / 4)
            for actor in self.renewing:
                assert actor.lease
                actor.lease._renew()
                self._look(actor, RENEWAL)

    @precondition(lambda self: self.busy)
    @rule(which=_WHICH)
    def stop(self, which: int) -> None:
        """A worker is told to stop, and does."""
        actor = self._one_of(self.busy, which)
        actor.stop()
        self._let_go(actor, _TO_THE_END)

    @rule(job=_JOB, calls=st.sampled_from([_TO_THE_END, _TO_THE_END, 1, 2, 3, 4]))
    def maintain(self, job: str, calls: int) -> None:
        """A worker makes its round of maintenance, or dies in the middle of it."""
        self._do(self.archive.maintain(job), calls)

    # What operators do

    @rule(
        how=st.sampled_from([*_HOW, "redrive"]),
        job=_JOB,
        volumes=st.sets(_VOLUME, min_size=1),
        calls=st.sampled_from([_TO_THE_END, _TO_THE_END, 0, 1]),
    )
    def ask_for_work(self, how: str, job: str, volumes: set[int], calls: int) -> None:
        """Volumes are enqueued or redriven, or the process dies after that, before their messages are sent."""
        chosen = tuple(self.archive.volumes[n] for n in sorted(volumes))
        redrive = how == "redrive"
        actor = self.archive.redrive(job) if redrive else self.archive.enqueue(job, chosen, **_HOW[how])
        self._do(actor, calls)

    @rule(what=st.sampled_from(_CHANGES), volume=_VOLUME, slot=_SLOT, calls=_CALLS)
    def change_the_work(self, what: str, volume: int, slot: int, calls: int) -> None:
        """A volume gets a new manifest, or the second job another config, another dependency, or an end."""
        admin = self.archive.admin
        if what == "scan":
            self.archive.scan(self.archive.volumes[volume])
        elif what.startswith("config"):
            admin.update(SECOND, config={"factor": int(what[-1])})
        elif what.startswith("needs"):
            self._need(what)
            self.history.step(None, what)
        elif not any(actor.fenced for actor in self.busy):
            admin.delete(SECOND)
            self.history.step(None, DELETED)
            self.archive.create_job(SECOND, needs=(FIRST,))
        self.work(slot, calls)

    @rule(job=_JOB, volume=_VOLUME, slot=_SLOT, calls=_CALLS)
    def others_publish(self, job: str, volume: int, slot: int, calls: int) -> None:
        """Another program puts an artefact where the one of a volume would lie, maybe while a worker makes it."""
        self.archive.publish_as_others(job, self.archive.volumes[volume])
        self.work(slot, calls)

    # What befalls them; whatever it is, somebody works on

    @rule(seconds=st.sampled_from([BACKOFF.cap, LEASE + 1, REDISPATCH + 1]), slot=_SLOT, calls=_CALLS)
    def let_time_pass(self, seconds: float, slot: int, calls: int) -> None:
        """Nobody does anything for a while."""
        self.archive.clock.advance(seconds)
        self.work(slot, calls)

    @rule(what=st.sampled_from([*_MISHAPS, "by hand"]), job=_JOB, which=_WHICH, slot=_SLOT, calls=_CALLS)
    def befall_a_message(self, what: str, job: str, which: int, slot: int, calls: int) -> None:
        """The queue forgets messages, delivers one again, to somebody else, or holds one that nobody enqueued."""
        found = self.archive.execute("SELECT id FROM queue_messages WHERE queue = %s AND dead_at IS NULL", job)
        if what == "by hand":
            body = body_of(self._one_of(list(self.archive.volumes), which), job)
            self.archive.execute("INSERT INTO queue_messages (queue, body) VALUES (%s, %s)", job, body)
        elif found:
            self.archive.execute(_MISHAPS[what], self._one_of(sorted(row["id"] for row in found), which))
        self.work(slot, calls)

    @rule(what=st.sampled_from(["fence", "success.json", "parquet"]), which=_WHICH, slot=_SLOT, calls=_CALLS)
    def break_something(self, what: str, which: int, slot: int, calls: int) -> None:
        """The server ends what stands still in a transaction, or somebody removes a file of an artefact."""
        found = list(self.archive.successes())
        if what == "fence":
            self.archive.execute(_CUT)
            for actor in self.busy:
                actor.cut_off = actor.fenced
        elif found:
            success = self._one_of(found, which)
            self.history.forget(success)
            removed = f"{success.location.prefix}/success.json" if what == "success.json" else success.files[0].key
            self.archive.file(removed).unlink(missing_ok=True)
        self.work(slot, calls)

    # The end

    def settle(self) -> None:
        """Every process dies, the faults stop, and healthy workers bring all work to its end."""
        self._end_all()
        self.history.step(None, "settle")
        waited, limit = 0.0, _PATIENCE * len(JOBS)
        # At its end is what a whole round finds finished, and leaves so: maintenance looks at artefacts, too.
        while not self._is_at_its_end():
            assert waited <= limit, f"not at its end after {waited:g} s: {self._unfinished()}"
            self.archive.clock.advance(_PACE)
            waited += _PACE
        self._check_the_end()

    @invariant()
    def holds(self) -> None:
        """All that must hold at every moment."""
        self._soundly(lambda: self.history.moment(self.busy))

    def teardown(self) -> None:
        """End every example in peace, if it came so far."""
        try:
            if self.sound:
                self.settle()
                self.holds()
        finally:
            self._end_all()

    @property
    def busy(self) -> list[Actor]:
        """The workers that are at work."""
        return [actor for actor in self.workers if actor]

    @property
    def renewing(self) -> list[Actor]:
        """The workers that can renew a lease now; behind their own fence they would wait for themselves."""
        return [actor for actor in self.busy if actor.lease and not actor.fenced]

    def _need(self, what: str) -> None:
        """Have the second job need the first, or nothing."""
        policy = IfMissing(what.rpartition(" or ")[2]) if " or " in what else IfMissing.WAIT
        needed = () if what == "needs nothing" else (FIRST,)
        self.archive.admin.update(SECOND, depends_on=needed, if_missing=dict.fromkeys(needed, policy))

    def _receive(self, job: str) -> Actor | None:
        self.born += 1
        return self.archive.receive(f"worker-{self.born}", job)

    def _one_of(self, items: list[Any], which: int) -> Any:
        return items[which % len(items)]

    def _soundly(self, check: Callable[[], None]) -> None:
        self.sound = False
        check()
        self.sound = True

    def _let_go(self, actor: Actor, calls: int) -> None:
        for _ in range(calls):
            if not actor.ended:
                self._let(actor, Fate.GO)

    def _let_repeatedly(self, actor: Actor, fate: Fate, times: int) -> None:
        """Assign a fate to a call, and to each time that it is tried again at once."""
        point = actor.at
        for _ in range(times):
            if not actor.ended and actor.at == point:
                self._let(actor, fate)

    def _let(self, actor: Actor, fate: Fate) -> None:
        point = actor.at
        if point == PUBLICATION:
            self._soundly(lambda: self.history.publication(actor))
        actor.let(fate)
        self._look(actor, point)

    def _do(self, actor: Actor, calls: int) -> None:
        """Let an actor that is nobody's worker make some calls, and die if it is not at its end then."""
        self._look(actor, actor.name)
        self._let_go(actor, calls)
        actor.kill()
        self._look(actor, actor.name)

    def _look(self, actor: Actor, point: str | None) -> None:
        if point is None or not point.startswith(_NO_WORD_TO_THE_DATABASE):
            self._soundly(lambda: self.history.step(actor, point))
        if actor.ended:
            self.workers = [None if actor is one else one for one in self.workers]
            if actor.error and not isinstance(actor.error, RetryableError):
                self.sound = False
                raise AssertionError(f"{actor.name} ended at {point}") from actor.error

    def _end_all(self) -> None:
        for actor in self.busy:
            actor.kill()
        self.workers = [None] * WORKERS

    def _is_at_its_end(self) -> bool:
        was_ended = not self._unfinished()
        self._work_off()
        return was_ended and not self._unfinished()

    def _unfinished(self) -> list[dict[str, Any]]:
        """Return the tasks that a worker could still bring on; others wait for work that failed or is none."""
        return self.archive.execute(
            "SELECT t.id, t.state, j.name FROM tasks t JOIN jobs j ON j.id = t.job_id"
            " WHERE t.state IN ('queued', 'running', 'retryable_failed') OR t.state = 'waiting' AND NOT EXISTS ("
            "  SELECT 1 FROM job_dependencies jd WHERE jd.job_id = t.job_id AND jd.if_missing = 'wait' AND NOT EXISTS ("
            "   SELECT 1 FROM tasks d JOIN volumes v ON v.id = d.volume_id WHERE d.job_id = jd.depends_on_id"
            "   AND d.volume_id = t.volume_id AND d.state = 'done'"
            "   AND d.manifest_etag = coalesce(v.manifest_etag, d.manifest_etag)))"
        )

    def _work_off(self) -> None:
        for job in JOBS:
            self._do(self.archive.maintain(job), _TO_THE_END)
            while actor := self._receive(job):
                self._let_go(actor, _TO_THE_END)

    def _check_the_end(self) -> None:
        self._soundly(lambda: check_the_end(self.archive, self.history))


def check_the_end(archive: Archive, history: History) -> None:
    """See that all is where it belongs when nothing is left to do."""
    left = archive.execute(
        "SELECT m.queue, m.body FROM queue_messages m WHERE m.dead_at IS NULL AND m.visible_at <= clock_timestamp()"
    )
    assert left == [], f"messages that nobody took: {left}"
    for success in archive.successes():
        if success.location.prefix not in history.damaged:
            task = "SELECT * FROM tasks WHERE uid = %s AND state = 'terminal_failed'"
            states = archive.execute(task, success.task_uid)
            assert not states, f"published, and failed: {success.location.prefix} {states}"
    found = archive.audit(history.damaged, recreated=history.deleted)
    assert found == [], found
