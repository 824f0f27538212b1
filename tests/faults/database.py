"""What befalls the database and the way to it."""

import time
from collections.abc import Callable
from functools import partial

from bec_orch.core.fault_points import FaultPoint
from tests.faults.fault import Fault, add
from tests.faults.scene import Scene

# Seconds: twice the lease, as a minute is to the lease of a fleet; and the minute itself, in the whole campaign.
_OUTAGE = 6.0
_MINUTE = 60.0
# Statements after which the answer to COMMIT is lost.
_CLAIM = b"INSERT INTO task_attempts"
_RENEWAL = b"SET lease_expires_at"
_DONE = b"SET state = 'done'"
_ENQUEUED = b"INSERT INTO tasks"
_MOMENTS = {
    "at the claim": FaultPoint.TASK_CLAIMED,
    "in mid-run": FaultPoint.PAGE_DONE,
    "at the commit": FaultPoint.SUCCESS_PUT,
}
# The first end of a task hangs within the server: far longer than the program lets it.
_HANG = (
    "CREATE SEQUENCE hangs",
    """
    CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.state = 'done' AND nextval('hangs') = 1 THEN PERFORM pg_sleep(600); END IF;
        RETURN NEW;
    END $$
    """,
    "CREATE TRIGGER hang BEFORE UPDATE ON tasks FOR EACH ROW EXECUTE FUNCTION hang()",
)


def _during(scene: Scene, point: FaultPoint, befall: Callable[[Scene], None]) -> None:
    """Let something befall the database while a worker pauses at a point; the worker lives on."""
    scene.enqueue()
    worker = scene.hit(f"{point}:pause")
    befall(scene)
    scene.promise(worker.running, f"a worker did not outlive the outage: {worker.log()[-500:]}")


def _restart(scene: Scene, mode: str) -> None:
    scene.lane.server.restart(mode)


def _kill(scene: Scene) -> None:
    scene.lane.server.kill()
    scene.lane.server.start_after_kill()


def _refuse(scene: Scene, seconds: float = _OUTAGE) -> None:
    scene.lane.network.refuse()
    time.sleep(seconds)
    scene.lane.network.restore()


def _swallow(scene: Scene, seconds: float = _OUTAGE) -> None:
    scene.lane.network.swallow()
    time.sleep(seconds)
    scene.lane.network.reset()
    scene.lane.network.restore()


def _cut(scene: Scene) -> None:
    for _ in range(5):
        scene.lane.network.reset()
        time.sleep(0.3)


def _lose_commit(scene: Scene, after: bytes) -> None:
    network = scene.lane.network
    if after == _ENQUEUED:
        network.lose_commit_after = after
        arguments = ("queue", "enqueue", scene.name, "--file", str(scene.volumes_file()))
        broken = scene.bec(*arguments)
        scene.until(network.lost.is_set, "the answer to the commit was lost")
        broken.wait()
        scene.run(*arguments)
        return
    scene.enqueue()
    network.lose_commit_after = after
    scene.worker()
    scene.until(network.lost.is_set, "the answer to the commit was lost")


def _hang(scene: Scene, *, killed: bool) -> None:
    """A statement hangs within the server, and holds what it locked; its worker gives up, or is killed."""
    for statement in _HANG:
        scene.sql(statement)
    scene.enqueue()
    worker = scene.worker()
    scene.until(lambda: scene.sql("SELECT is_called FROM hangs")[0]["is_called"], "a statement hung")
    if killed:
        worker.kill_group()
    scene.until(lambda: not _hanging(scene), "the server ended what hung")


def _hanging(scene: Scene) -> bool:
    return bool(
        scene.sql("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")
    )


def _fail_over(scene: Scene) -> None:
    """The primary dies right after a commit that its standby never got."""
    scene.enqueue()
    standby = scene.lane.server.add_standby()
    worker = scene.hit(f"{FaultPoint.SUCCESS_PUT}:pause")
    scene.lane.server.stop_standby(standby)
    worker.wait_for("task.done")
    scene.lane.network.refuse()
    scene.lane.server.fail_over(standby)
    scene.lane.network.target = scene.lane.server.socket
    scene.lane.network.restore()


def _add_all() -> None:
    page = FaultPoint.PAGE_DONE
    for mode in ("fast", "immediate"):
        strike = partial(_during, point=page, befall=partial(_restart, mode=mode))
        add(Fault("F14", f"database restarted ({mode})", strike, short=mode == "immediate"))
    add(Fault("F39", "database killed -9", partial(_during, point=page, befall=_kill)))
    for moment, point in _MOMENTS.items():
        strike = partial(_during, point=point, befall=_refuse)
        add(Fault("F15", f"database away {moment}", strike, short=point is FaultPoint.SUCCESS_PUT))
    add(Fault("F16", "statement hangs, its worker is killed", partial(_hang, killed=True), alone=True, short=True))
    add(Fault("F16", "statement hangs", partial(_hang, killed=False), alone=True))
    add(Fault("F16", "database hangs", partial(_during, point=page, befall=_swallow), short=True))
    for row, word, befall in (("F15", "is away", _refuse), ("F16", "hangs", _swallow)):
        strike = partial(_during, point=page, befall=partial(befall, seconds=_MINUTE))
        add(Fault(row, f"database {word} for a minute", strike))
    add(Fault("F14", "connections cut again and again", partial(_during, point=page, befall=_cut), short=True))
    add(Fault("F17", "failover that loses a commit", _fail_over, alone=True, short=True))
    lost = {"the claim": _CLAIM, "the renewal": _RENEWAL, "the end": _DONE, "the enqueueing": _ENQUEUED}
    for what, after in lost.items():
        strike = partial(_lose_commit, after=after)
        add(Fault("F18", f"answer to COMMIT lost at {what}", strike, alone=after == _ENQUEUED, short=after == _DONE))


_add_all()
