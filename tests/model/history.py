"""What must hold between one step of a model and the next, and at every moment."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Any

from bec_orch.core.artefacts import Success
from bec_orch.core.tasks import Claim, ClaimRefused, Refusal, TaskState
from bec_orch.core.volumes import version_of
from bec_orch.io.stores.checksums import sha256_of
from tests.model.actors import Actor, Fate
from tests.model.archive import BACKOFF, LEASE, MAX_ATTEMPTS, Archive

Row = dict[str, Any]

DELETED = "the job is deleted"
RENEWAL = "the lease is renewed"
RECORDING = "store.record_published"
PUBLICATION = "artefacts.commit"

# Every way that a task may go in one transaction.
MOVES = {
    "waiting": {"queued", "canceled"},
    "queued": {"running", "canceled"},
    "running": {"done", "retryable_failed", "terminal_failed", "queued", "waiting", "canceled"},
    "retryable_failed": {"running", "canceled"},
    "done": {"canceled"},
    "terminal_failed": {"queued", "waiting", "done"},
    "canceled": set[str](),
}
# An actor that stands before one of these computes and publishes nothing any more.
_AT_ITS_END = frozenset({"store.fail", "store.release"})
# What changes of a finished task: when it was looked at, and whether it was written about.
_PASSING = frozenset({"verified_at", "updated_at"})

_UNREACHABLE = """
SELECT t.id, t.state, t.dispatched_at, t.lease_expires_at, t.not_before
FROM tasks t JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id
CROSS JOIN (SELECT clock_timestamp() AS now) c
WHERE t.finished_at IS NULL AND NOT CASE t.state
    WHEN 'running' THEN t.lease_expires_at <= c.now + make_interval(secs => %s)
    WHEN 'waiting' THEN j.deleted_at IS NULL
    ELSE (t.not_before IS NULL OR t.not_before <= c.now + make_interval(secs => %s))
         AND j.deleted_at IS NULL AND (
            t.dispatched_at IS NULL OR t.dispatched_at <= c.now
            OR EXISTS (SELECT 1 FROM queue_messages m WHERE m.queue = j.name AND m.dead_at IS NULL
                       AND m.body::jsonb ->> 'i_id' = v.i_id))
    END
"""

_DOUBLED = """
SELECT j.name, t.volume_id, a.attempt, count(*) FROM task_attempts a
JOIN tasks t ON t.id = a.task_id JOIN jobs j ON j.id = t.job_id
GROUP BY 1, 2, 3 HAVING count(*) > 1
"""

# A task is running exactly while its newest attempt is open, and no other attempt ever is.
_OPEN_ATTEMPTS = """
SELECT * FROM (
    SELECT t.id, t.state, t.attempt,
           ARRAY(SELECT a.attempt FROM task_attempts a WHERE a.task_id = t.id AND a.outcome IS NULL) AS open
    FROM tasks t
) found
WHERE open <> CASE state WHEN 'running' THEN ARRAY[attempt] ELSE '{}'::integer[] END
"""


class History:
    """Follows all tasks, attempts and artefacts from step to step."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._tasks: dict[int, Row] = {}
        self._attempts: dict[tuple[int, int], Row] = {}
        self._published: dict[str, str] = {}
        self.damaged: set[str] = set()
        self.deleted = False

    def step(self, actor: Actor | None, point: str | None) -> None:
        """Hold one step against the moment before it.

        Args:
            actor: whose step it was, if it was an actor's.
            point: the call that it made, or what else happened.
        """
        self.deleted |= point == DELETED
        before, self._tasks = self._tasks, self._rows("SELECT * FROM tasks", "id")
        assert before.keys() <= self._tasks.keys(), "a task is gone"
        claim = actor.results.get("store.claim") if actor else None
        for task_id, now in self._tasks.items():
            if task_id in before:
                Move(
                    before[task_id], now, self._now(), actor, claim, point, set(self._archive.foreign.values())
                ).check()
            else:
                assert now["state"] in {"queued", "waiting"}, now
        self._check_attempts()
        if actor and point == "queue.delete":
            _check_deletion(actor)

    def publication(self, actor: Actor) -> None:
        """Hold the moment before an actor puts a `success.json` against its right to do so.

        Who was cut off in its fence cannot know. What it puts is whole, and there is still one for each task at most.
        """
        claim = actor.results["store.claim"]
        task = self._tasks[claim.task_id]
        held = (task["attempt"], task["token"], task["state"]) == (claim.attempt, claim.token, TaskState.RUNNING)
        assert held or actor.cut_off, f"{actor.name} publishes what is not its own"

    def moment(self, actors: Iterable[Actor]) -> None:
        """Hold this moment against what must always be so."""
        self._check_leases(actors)
        for statement, parameters in (
            (_UNREACHABLE, (LEASE, BACKOFF.cap)),
            (_DOUBLED, ()),
            (_OPEN_ATTEMPTS, ()),
        ):
            found = self._archive.execute(statement, *parameters)
            assert found == [], found
        unfinished = Counter((t["job_id"], t["volume_id"]) for t in self._tasks.values() if not t["finished_at"])
        assert max(unfinished.values(), default=0) <= 1, unfinished
        self._check_artefacts()
        harmed = self._archive.harmed()
        assert harmed == [], f"what others left was harmed: {harmed}"

    def _rows(self, statement: str, *key: str) -> dict[Any, Row]:
        found = self._archive.execute(statement)
        return {tuple(row[k] for k in key) if len(key) > 1 else row[key[0]]: row for row in found}

    def _now(self) -> dt.datetime:
        return self._archive.clock.now

    def _check_attempts(self) -> None:
        before, self._attempts = self._attempts, self._rows("SELECT * FROM task_attempts", "task_id", "attempt")
        for key, old in before.items():
            assert key in self._attempts, "an attempt is gone"
            if old["outcome"] is not None:
                assert self._attempts[key] == old, "an attempt that had ended was changed"

    def _check_leases(self, actors: Iterable[Actor]) -> None:
        believers = Counter(
            actor.results["store.claim"].task_id
            for actor in actors
            if actor.lease and not actor.lease.lost and actor.at not in _AT_ITS_END
        )
        assert max(believers.values(), default=0) <= 1, "two workers take the same task for theirs"

    def _check_artefacts(self) -> None:
        valid: set[tuple[str, str, str]] = set()
        for success in self._archive.successes():
            if self._is_whole(success):
                volume = success.location.volume
                valid.add((success.location.root, volume.i_id, str(success.manifest_etag)))
                self.damaged.discard(success.location.prefix)
                key = self._published.setdefault(str(success.task_uid), success.files[0].key)
                assert key == success.files[0].key, "a task published two artefacts"
            else:
                assert success.location.prefix in self.damaged, f"{success.location.prefix} is published and not whole"
        valid |= {(at.root, at.volume.i_id, etag) for at, etag in self._archive.foreign.items()}
        for done in self._done():
            named = (done["name"], done["i_id"], done["manifest_etag"])
            prefix = f"{done['name']}/W1/{done['i_id']}/{version_of(done['manifest_etag'])}"
            assert named in valid or prefix in self.damaged, f"done without an artefact: {named}"

    def _done(self) -> list[Row]:
        return self._archive.execute(
            "SELECT j.name, v.i_id, t.manifest_etag FROM tasks t"
            " JOIN jobs j ON j.id = t.job_id JOIN volumes v ON v.id = t.volume_id WHERE t.state = 'done'"
        )

    def _is_whole(self, success: Success) -> bool:
        """Look at the whole artefact: file, digest, and every row."""
        (named,) = success.files
        path = self._archive.file(named.key)
        if not path.exists() or path.stat().st_size != named.size:
            return False
        assert sha256_of(path) == named.sha256, f"{named.key} was changed"
        assert self._archive.artefacts.verify(success, len(self._archive.versions.rows(success)))
        assert len(success.sidecars) == named.rows, f"{named.key} lacks sidecar files"
        rows = self._archive.artefacts.read_rows(success, ["length"])
        assert rows["length"].to_pylist() == self._archive.versions.rows(success), f"wrong rows in {named.key}"
        return True

    def forget(self, success: Success) -> None:
        """Take note that an artefact is being damaged: its task may publish another one."""
        self.damaged.add(success.location.prefix)
        self._published.pop(str(success.task_uid), None)


class Move:
    """One task before and after one step, and who made the step."""

    def __init__(
        self,
        before: Row,
        after: Row,
        now: dt.datetime,
        actor: Actor | None,
        claim: object,
        point: str | None,
        foreign: set[str],
    ) -> None:
        self.foreign = foreign
        self.before = before
        self.after = after
        self.actor = actor
        self.point = point
        self.changed = {key for key in after if after[key] != before[key]}
        held = isinstance(claim, Claim) and claim.task_id == before["id"]
        self.owner = held and isinstance(claim, Claim) and (claim.attempt, claim.token) == self._fence(before)
        self.zombie = held and not self.owner and point != "store.claim"
        self.expired = before["state"] == "running" and before["lease_expires_at"] < now

    @staticmethod
    def _fence(row: Row) -> tuple[int, Any]:
        return row["attempt"], row["token"]

    def check(self) -> None:
        """See that the task may have gone this way."""
        old, new = self.before["state"], self.after["state"]
        assert old == new or new in MOVES[old], f"{old} became {new} at {self.point}"
        if self.zombie:
            assert not self.changed, f"a zombie changed {self.changed} at {self.point}"
        if old == "canceled" or (old == new and new in {"done", "terminal_failed"}):
            assert self.changed <= _PASSING, f"a finished task's {self.changed} changed"
        self._check_fence()
        self._check_takeover()
        self._check_end()
        self._check_budget()

    def _check_fence(self) -> None:
        raised = self.after["attempt"] - self.before["attempt"]
        assert raised in {0, 1}, "attempts grow by one"
        if raised or self.after["token"] != self.before["token"]:
            assert raised
            assert self.after["state"] == "running"

    def _check_takeover(self) -> None:
        """Nobody but its owner ends a lease that lives; only deleting the job does."""
        if self.before["state"] == "running" and (self._fence(self.after), self.after["state"]) != (
            self._fence(self.before),
            "running",
        ):
            assert self.owner or self.expired or self.point == DELETED, f"a live lease was ended at {self.point}"

    def _check_end(self) -> None:
        if self.before["state"] == self.after["state"]:
            return
        if self.after["state"] == TaskState.DONE:
            found = self.before["state"] == TaskState.TERMINAL_FAILED and self.point == RECORDING
            assert self.owner or found, "who did not hold the task committed it"
        if self.after["state"] == TaskState.TERMINAL_FAILED:
            hopeless = self.owner and self.actor and Fate.HOPELESS in self.actor.fates
            in_the_way = self.owner and self.after["failure_code"] == "E_ARTEFACT_FOREIGN"
            if in_the_way:
                assert self.after["manifest_etag"] in self.foreign, "nothing of others was in the way"
            # What it needs was made by nobody when it looked: somebody may have asked for that since.
            lacking = self.owner and self.after["failure_code"] == "E_DEPENDENCY_FAILED"
            exhausted = self.after["charged"] >= MAX_ATTEMPTS
            assert hopeless or in_the_way or lacking or exhausted, "a passing fault ended a task"

    def _check_budget(self) -> None:
        charged = self.after["charged"] - self.before["charged"]
        if self.before["state"] == TaskState.TERMINAL_FAILED:
            assert self.after["charged"] in {0, self.before["charged"]}
        elif charged:
            blamed = self.owner and self.actor and {Fate.FAULT, Fate.HOPELESS} & set(self.actor.fates)
            assert charged == 1
            assert blamed or self.expired, f"a task was charged for what was not its fault at {self.point}"


def _check_deletion(actor: Actor) -> None:
    """A message is deleted only by who has just read a final state of its task."""
    claim = actor.results.get("store.claim")
    refused = isinstance(claim, ClaimRefused) and claim.refusal is Refusal.FINAL
    assert refused or "store.commit" in actor.results, f"{actor.name} deleted a message on doubt"
