"""Which volume is meant by a name that several sources have."""

from types import SimpleNamespace
from typing import Any

import pytest

from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import UsageError
from bec_orch.orch.overview.kept import kept_volumes
from bec_orch.orch.overview.namesakes import NamedVolume, named_volume

A, B = "folder+file:///a", "folder+file:///b"
NAMES = ("W1", "I1")


def task(number: int, source: str, job: str = "lines", etag: str | None = None) -> Any:
    return SimpleNamespace(id=number, job=job, volume=VolumeRef(*NAMES, source), manifest_etag=etag)


# The newest first, as they are listed.
TASKS = (task(4, B, "text", "bbb"), task(3, A, etag="aaa"), task(2, B, etag="bbb"), task(1, A, etag="a0a"))


def named(*tasks: Any, names: tuple[str, str] = NAMES, **wanted: Any) -> NamedVolume:
    overview: Any = SimpleNamespace(spelled=lambda _volumes: {})
    listings: Any = SimpleNamespace(tasks_of_volume=lambda *asked: list(tasks) if asked == NAMES else [])
    return named_volume(overview, listings, names, **wanted)


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, [4, 2]),
        ({"source": A}, [3, 1]),
        ({"source": B}, [4, 2]),
        ({"job": "text"}, [4, 2]),
        ({"job": "lines"}, [3, 1]),
        ({"job": "none has it"}, [4, 2]),
        ({"job": "text", "source": A}, [3, 1]),
        ({"version": "aaa000"}, [3, 1]),
        ({"version": "a0a000"}, [3, 1]),
        ({"version": "bbb000", "job": "lines"}, [4, 2]),
        ({"version": "none is of it"}, [4, 2]),
        ({"version": "bbb000", "source": A}, [3, 1]),
    ],
)
def test_the_source_decides_else_the_newest_task_of_what_is_named(wanted: dict[str, Any], ids: list[int]) -> None:
    found = named(*TASKS, **wanted)
    assert [one.id for one in found.tasks] == ids
    other = {4: A, 3: B}[ids[0]]
    assert found.namesakes == [VolumeRef(*NAMES, other)]
    assert found.told_source == found.volume.source != other


def test_a_source_need_not_be_told_where_there_is_one() -> None:
    found = named(task(2, A), task(1, A))
    assert (found.namesakes, found.told_source) == ([], "")


def test_who_names_a_pdf_need_not_say_how_it_was_worked_on() -> None:
    pdf = "pdf+file:///a"
    fine = f"{pdf}#dpi=400"
    assert named(task(2, A), task(1, fine), source=pdf).volume.source == fine
    assert named(task(2, fine), task(1, pdf), source=pdf).volume.source == pdf, "that very one comes first"
    with pytest.raises(UsageError):
        named(task(1, pdf), source=fine)


@pytest.mark.parametrize("source", ["folder+file:///c", "folder+file:///", "#", "\x00", "x" * 10_000, "'; DROP TABLE"])
def test_a_source_that_has_no_such_volume_is_told_with_those_that_have_one(source: str) -> None:
    with pytest.raises(UsageError) as caught:
        named(*TASKS, source=source)
    assert caught.value.code == "E_VOLUME_UNKNOWN"
    assert "No job has a task for the volume 'W1/I1' of the source '" in caught.value.message
    assert len(caught.value.message) < 500
    assert caught.value.hint == f"Volumes of that name are in '{B}', '{A}'."


def test_of_many_sources_the_first_are_told() -> None:
    tasks = [task(9 - number, f"folder+file:///{number}") for number in range(8)]
    with pytest.raises(UsageError) as caught:
        named(*tasks, source=A)
    assert caught.value.hint.endswith("///4' and 3 more.")


def test_a_volume_is_found_by_another_form_of_its_name() -> None:
    known = VolumeRef("Re\u0301", "I1", "")
    tasks = {("Re\u0301", "I1"): [SimpleNamespace(volume=known)]}
    overview: Any = SimpleNamespace(spelled=lambda asked: dict.fromkeys(asked, known))
    listings: Any = SimpleNamespace(tasks_of_volume=lambda *names: tasks.get(names, []))
    assert named_volume(overview, listings, ("R\u00e9", "I1")).volume == known


def test_a_volume_without_tasks_is_reported() -> None:
    with pytest.raises(UsageError) as caught:
        named(*TASKS, names=("W9", "I9"))
    assert caught.value.code == "E_VOLUME_UNKNOWN"


@pytest.mark.parametrize(("source", "ids"), [("", [4]), (A, [3]), (B, [4]), ("folder+file:///c", [])])
def test_of_volumes_that_are_not_done_those_of_the_source_are_taken(source: str, ids: list[int]) -> None:
    overview: Any = SimpleNamespace(
        tasks=lambda _job, wanted, limit: list(TASKS)[:limit] if wanted.state is TaskState.RUNNING else []
    )
    found = kept_volumes(overview, Job(1, "lines", "toy", {}, "h"), (), (), source)
    assert [task.id for task, _ in found] == ids
