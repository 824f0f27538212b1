"""Metrics as log events in the embedded metric format: one JSON line each, as CloudWatch reads it."""

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from bec_orch.core.life.standings import TaskEnd
from bec_orch.core.tasks import AttemptOutcome, Claim, Failure, Job, TaskResult
from bec_orch.core.volumes import Manifest, PageCounts, VolumeRef
from bec_orch.io.aws.emf import EmfObserver, emf_fields
from bec_orch.settings.logging_setup import JsonFormatter, Redactor

JOB = Job(1, "ldv1", "ldv1", {}, "hash", 5, 0.05, ())
VOLUME = VolumeRef("W1", "I1", "folder+memory:///")
MANIFEST = Manifest(VOLUME, "0" * 32, ())


class Told:
    def __init__(self) -> None:
        self.calls: list[str] = []

    def task_started(self, claim: Claim, manifest: Manifest) -> None:
        self.calls.append("started")

    def pages_done(self, claim: Claim, done: int, total: int) -> None:
        self.calls.append(f"{done}/{total}")

    def task_ended(self, end: TaskEnd) -> None:
        self.calls.append(end.outcome.value)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Lines(logging.Handler):
    """Keeps what would stand in the log file."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(JsonFormatter(Redactor([])))
        self.read: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.read.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines, logger = Lines(), logging.getLogger("bec_orch")
    level = logger.level
    logger.addHandler(lines)
    logger.setLevel(logging.ERROR)
    yield lines
    logger.removeHandler(lines)
    logger.setLevel(level)


def claim(task: int = 1) -> Claim:
    return Claim(task, 1, uuid4(), JOB, VOLUME, None, force=False, charged=0)


def done(task: int = 1, *, error: int = 0, adopted: bool = False) -> TaskEnd:
    result = TaskResult("e", "h", "1", (), PageCounts(10, 0, error), (), adopted=adopted)
    return TaskEnd(claim(task), AttemptOutcome.ADOPTED if adopted else AttemptOutcome.DONE, result=result)


def failed(outcome: AttemptOutcome) -> TaskEnd:
    return TaskEnd(claim(), outcome, failure=Failure("E_X", "run", "no", "f", retryable=True))


def test_the_form_is_that_of_the_specification() -> None:
    fields = emf_fields("ldv1", {"Pages": 12, "TaskSeconds": 3.5}, 1_700_000_000.25)

    assert fields == {
        "_aws": {
            "Timestamp": 1_700_000_000_250,
            "CloudWatchMetrics": [
                {
                    "Namespace": "BEC",
                    "Dimensions": [["Job"]],
                    "Metrics": [{"Name": "Pages", "Unit": "Count"}, {"Name": "TaskSeconds", "Unit": "Seconds"}],
                }
            ],
        },
        "Job": "ldv1",
        "Pages": 12,
        "TaskSeconds": 3.5,
    }


def test_a_task_from_begin_to_end(lines: Lines) -> None:
    told, clock = Told(), Clock()
    observer = EmfObserver(told, clock)

    observer.task_started(claim(), MANIFEST)
    observer.pages_done(claim(), 3, 10)
    clock.now += 20
    observer.pages_done(claim(), 10, 10)
    clock.now += 2
    observer.task_ended(done(error=1))

    [line] = lines.read
    assert line["event"] == "metrics"
    assert line["level"] == "info"
    metrics = {name: line[name] for name in ("Job", "Pages", "PageErrors", "TasksDone", "TaskSeconds")}
    # The first three pages had an earlier attempt's row.
    assert metrics == {"Job": "ldv1", "Pages": 7, "PageErrors": 1, "TasksDone": 1, "TaskSeconds": 22}
    named = [one["Name"] for one in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]]
    assert sorted(named) == ["PageErrors", "Pages", "TaskSeconds", "TasksDone"]
    assert told.calls == ["started", "3/10", "10/10", "done"]


def test_pages_of_a_long_task_go_out_once_a_minute_and_add_up(lines: Lines) -> None:
    clock = Clock()
    observer = EmfObserver(Told(), clock)

    observer.task_started(claim(), MANIFEST)
    for pages in range(51):
        observer.pages_done(claim(), pages, 50)
        clock.now += 4
    observer.task_ended(done())

    assert [line["Pages"] for line in lines.read] == [15, 15, 15, 5]
    assert [line["_aws"]["Timestamp"] for line in lines.read] == [
        1_000_060_000,
        1_000_120_000,
        1_000_180_000,
        1_000_204_000,
    ]


def test_tasks_beside_each_other_are_counted_apart(lines: Lines) -> None:
    observer = EmfObserver(Told(), Clock())

    for task in (1, 2):
        observer.task_started(claim(task), MANIFEST)
        observer.pages_done(claim(task), 0, 10)
    for task in (1, 2):
        observer.pages_done(claim(task), 5 * task, 10)
    observer.task_ended(done(1))
    observer.task_ended(done(2))

    assert [line.get("Pages", 0) for line in lines.read] == [15, 0]


@pytest.mark.parametrize(
    ("end", "counted"),
    [
        (failed(AttemptOutcome.RETRYABLE_FAILED), "TasksRetried"),
        (failed(AttemptOutcome.TERMINAL_FAILED), "TasksFailed"),
        (TaskEnd(claim(), AttemptOutcome.INTERRUPTED), "TasksGivenBack"),
        (done(adopted=True), "TasksDone"),
    ],
)
def test_how_tasks_end(lines: Lines, end: TaskEnd, counted: str) -> None:
    EmfObserver(Told(), Clock()).task_ended(end)

    [line] = lines.read
    assert line[counted] == 1
    # It never began: there is no time to tell, and none of its pages was made here.
    assert "TaskSeconds" not in line
    assert "PageErrors" not in line


def test_a_task_that_was_superseded_counts_as_nothing(lines: Lines) -> None:
    EmfObserver(Told(), Clock()).task_ended(TaskEnd(claim(), AttemptOutcome.SUPERSEDED))

    assert lines.read == []
