"""What befalls single requests to the stores and the queue of the fleet, and both of them at once."""

import time
from functools import partial
from typing import Any

from bec_orch.core.fault_points import FaultPoint
from tests.faults.fault import Fault, add
from tests.faults.lane import FLEET
from tests.faults.scene import Scene
from tests.support.servers.http_faults import SLOW_DOWN, FaultProxy
from tests.support.servers.http_faults import Fault as HttpFault

_ON_FLEET = frozenset({FLEET})
_OUTAGE = 6.0
_MINUTE = 60.0
_DENIED = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
_CONFLICT = b"<Error><Code>ConditionalRequestConflict</Code><Message>Somebody else writes.</Message></Error>"
_READS = {"the manifest": "dimensions.json", "a page": "0001.jpg"}
_WRITES = {"the Parquet file": ".parquet", "success.json": "success.json"}
_KINDS: dict[str, dict[str, Any]] = {
    "500": {"kind": "status", "status": 500},
    "SlowDown": {"kind": "status", "status": 503, "body": SLOW_DOWN},
    "reset": {"kind": "reset"},
}
_READ_KINDS: dict[str, dict[str, Any]] = {
    **_KINDS,
    "half a body": {"kind": "half"},
    "403": {"kind": "status", "status": 403, "body": _DENIED},
}
_WRITE_KINDS: dict[str, dict[str, Any]] = {
    **_KINDS,
    "answer lost": {"kind": "lost"},
    "409": {"kind": "status", "status": 409, "body": _CONFLICT},
}
_QUEUE_KINDS: dict[str, dict[str, Any]] = {
    "503": {"kind": "status", "status": 503},
    "reset": {"kind": "reset"},
    "answer lost": {"kind": "lost"},
    "half a body": {"kind": "half"},
}


def _cloud(scene: Scene) -> FaultProxy:
    assert scene.lane.cloud, "only the fleet has it"
    return scene.lane.cloud


def _request(scene: Scene, *faults: HttpFault) -> None:
    """Let requests of a worker fail, each once."""
    cloud = _cloud(scene)
    before = len(cloud.happened)
    scene.enqueue()
    cloud.faults.extend(faults)
    scene.worker()
    scene.until(lambda: len(cloud.happened) - before >= len(faults), f"{faults[0]}")


def _enqueueing(scene: Scene, fault: HttpFault) -> None:
    cloud = _cloud(scene)
    before = len(cloud.happened)
    cloud.faults.append(fault)
    arguments = ("queue", "enqueue", scene.name, "--file", str(scene.volumes_file()))
    scene.bec(*arguments).wait()
    scene.until(lambda: len(cloud.happened) > before, f"{fault}")
    scene.run(*arguments)


def _down(scene: Scene, seconds: float) -> None:
    """S3 and SQS answer nothing for a while in the middle of a volume."""
    scene.enqueue()
    worker = scene.hit(f"{FaultPoint.PAGE_DONE}:pause")
    _cloud(scene).down = True
    time.sleep(seconds)
    _cloud(scene).down = False
    scene.promise(worker.running, "a worker did not outlive the outage of S3 and SQS")
    scene.uncharged = True


def _killed_while_uploading(scene: Scene) -> None:
    scene.enqueue()
    cloud = _cloud(scene)
    before = len(cloud.happened)
    cloud.faults.append(HttpFault("hang", "PUT", ".parquet", seconds=10))
    worker = scene.worker()
    scene.until(lambda: len(cloud.happened) > before, "an upload was held up")
    worker.kill_group()


def _add(row: str, name: str, fault: HttpFault, *, times: int = 1, short: bool = False) -> None:
    add(Fault(row, name, partial(_request_times, fault=fault, times=times), _ON_FLEET, short=short))


def _request_times(scene: Scene, fault: HttpFault, times: int) -> None:
    _request(scene, *[fault] * times)


def _add_all() -> None:
    for what, suffix in _READS.items():
        for word, kind in _READ_KINDS.items():
            _add(
                "F29",
                f"S3: {word} at {what}",
                HttpFault(method="GET", suffix=suffix, **kind),
                short=word == "half a body",
            )
    for what, suffix in _WRITES.items():
        for word, kind in _WRITE_KINDS.items():
            _add(
                "F30",
                f"S3: {word} at {what}",
                HttpFault(method="PUT", suffix=suffix, **kind),
                short=word == "answer lost",
            )
    for word, kind in _QUEUE_KINDS.items():
        _add("F27", f"SQS: {word} at a worker's calls", HttpFault(method="POST", suffix="", **kind), times=3)
        strike = partial(_enqueueing, fault=HttpFault(method="POST", suffix="", **kind))
        add(Fault("F27", f"SQS: {word} at the enqueueing", strike, _ON_FLEET, alone=True, short=word == "answer lost"))
    add(Fault("F31", "S3 and SQS away in mid-run", partial(_down, seconds=_OUTAGE), _ON_FLEET, short=True))
    add(Fault("F31", "S3 and SQS away for a minute", partial(_down, seconds=_MINUTE), _ON_FLEET))
    add(Fault("F01", "kill -9 in the middle of an upload", _killed_while_uploading, _ON_FLEET, short=True))


_add_all()
