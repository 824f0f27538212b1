"""Stores that are away for a moment: a folder that is gone, or empty as an unmounted one is, a bucket without objects.

Nothing fails for good by it, no page becomes an error, nothing is done twice, and nothing is written in its place.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bec_orch.core.fault_points import FaultPoint
from tests.faults.fault import Fault, add
from tests.faults.lane import EMBEDDED, FLEET
from tests.faults.scene import Scene

_SOURCE, _DESTINATION = "source", "destination"
_POINTS = (FaultPoint.TASK_CLAIMED, FaultPoint.PAGE_DONE, FaultPoint.PARQUET_CLOSED, FaultPoint.TASK_FENCED)
# Long enough that each volume meets it, and a worker that is charged for it gives one up.
_SECONDS = 5.0
# A worker pauses for 1.5 s at a point: this begins before it goes on, and ends when it has.
_BLINK_AFTER, _BLINK = 1.4, 0.35

Away = Callable[[Scene, str], AbstractContextManager[None]]


def _url(scene: Scene, which: str) -> str:
    return scene.source_url if which == _SOURCE else scene.dest_url


@contextmanager
def _renamed(scene: Scene, which: str) -> Iterator[None]:
    folder = Path(urlsplit(_url(scene, which)).path)
    aside = folder.with_name(f"{folder.name}.away")
    folder.rename(aside)
    try:
        yield
    finally:
        _put_back(scene, folder, aside)


@contextmanager
def _unmounted(scene: Scene, which: str) -> Iterator[None]:
    """Leave an empty folder in the place, as a mount point is without its disk."""
    folder = Path(urlsplit(_url(scene, which)).path)
    aside = folder.with_name(f"{folder.name}.away")
    folder.rename(aside)
    folder.mkdir()
    try:
        yield
    finally:
        _put_back(scene, folder, aside)


def _put_back(scene: Scene, folder: Path, aside: Path) -> None:
    found = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    scene.promise(not found, f"{len(found)} files were written in the place of {folder.name}")
    if folder.exists():
        folder.rename(folder.with_name(f"{folder.name}.wrong"))
    aside.rename(folder)


@contextmanager
def _lacking(scene: Scene, which: str) -> Iterator[None]:
    """Every object of the bucket is answered with 404, and still listed."""
    assert scene.lane.cloud, "only the fleet has it"
    bucket = urlsplit(_url(scene, which)).netloc
    scene.lane.cloud.lacking.add(bucket)
    yield
    scene.lane.cloud.lacking.discard(bucket)


@contextmanager
def _emptied(scene: Scene, which: str) -> Iterator[None]:
    """The bucket has no object, and lists none."""
    assert scene.lane.cloud, "only the fleet has it"
    bucket = urlsplit(_url(scene, which)).netloc
    scene.lane.cloud.emptied.add(bucket)
    yield
    scene.lane.cloud.emptied.discard(bucket)


def _strike(scene: Scene, *, which: str, away: Away, point: FaultPoint, after: float, seconds: float) -> None:
    scene.enqueue()
    scene.hit(f"{point}:pause")
    time.sleep(after)
    with away(scene, which):
        time.sleep(seconds)
    scene.uncharged = True


def _add_all() -> None:
    folders: Mapping[str, Away] = {"renamed": _renamed, "unmounted": _unmounted}
    for which in (_SOURCE, _DESTINATION):
        for word, away in folders.items():
            _add_at_points(which, word, away, EMBEDDED)
        _add_at_points(which, "without objects", _emptied, FLEET)
    _add_at_points(_SOURCE, "answering 404", _lacking, FLEET)


def _add_at_points(which: str, word: str, away: Away, backend: str) -> None:
    for point in _POINTS:
        times = {f"{_BLINK:g} s": (_BLINK_AFTER, _BLINK), f"{_SECONDS:g} s": (0.0, _SECONDS)}
        for told, (after, seconds) in times.items():
            strike = partial(_strike, which=which, away=away, point=point, after=after, seconds=seconds)
            telling = point is FaultPoint.PAGE_DONE and seconds == _SECONDS
            name = f"{which} {word} for {told} at {point}"
            add(Fault("F31", name, strike, frozenset({backend}), alone=True, short=telling))


_add_all()
