"""What a run shows while it works."""

import dataclasses
import io
import re
from uuid import UUID

import pytest
from rich.console import Console

from bec_orch.cli.terminal import progress as module
from bec_orch.cli.terminal.progress import BarProgress, LineProgress, PageTally, SilentProgress, ending, progress
from bec_orch.core.life.standings import TaskEnd
from bec_orch.core.tasks import AttemptOutcome, Claim, Failure, Job, TaskResult
from bec_orch.core.volumes import Manifest, PageCounts, VolumeRef

JOB = Job(1, "toy", "toy", {}, "")


def volumes(count: int) -> list[VolumeRef]:
    return [VolumeRef("W1", f"I{number}", "folder+file:///scans") for number in range(1, count + 1)]


def claim(task: int) -> Claim:
    return Claim(
        task_id=task,
        attempt=1,
        token=UUID(int=task),
        job=JOB,
        volume=VolumeRef("W1", f"I{task}", "folder+file:///scans"),
        manifest_etag=None,
        force=False,
        charged=0,
    )


def done(task: int, pages: int, errors: int = 0) -> TaskEnd:
    result = TaskResult("etag", "hash", "1", (), PageCounts(ok=pages - errors, error=errors), ())
    return TaskEnd(claim(task), AttemptOutcome.DONE, result=result)


def failed(task: int, outcome: AttemptOutcome, retry_after: float = 0.0) -> TaskEnd:
    failure = Failure("E_STORAGE", "run", "The store is away.", "f" * 12, retryable=True)
    return TaskEnd(claim(task), outcome, failure=failure, retry_after=retry_after)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_pages_of_volumes_that_have_not_begun_are_taken_to_be_the_average() -> None:
    tally = PageTally(volumes(4))
    assert tally.pages_expected == 0
    tally.pages(claim(1), 3, 10)
    tally.pages(claim(2), 0, 20)
    assert (tally.pages_done, tally.pages_expected) == (3, 60)
    tally.end(TaskEnd(claim(3), AttemptOutcome.ADOPTED))
    assert (tally.volumes_ended, tally.pages_expected) == (1, 45)


def test_speed_counts_only_what_this_run_computed() -> None:
    clock = Clock()
    tally = PageTally(volumes(1), clock=clock)
    assert tally.pages_per_second == 0.0
    tally.pages(claim(1), 100, 110)
    clock.now = 5.0
    tally.pages(claim(1), 110, 110)
    assert tally.pages_per_second == 2.0


def test_a_volume_that_is_tried_again_has_not_ended() -> None:
    tally = PageTally(volumes(1))
    tally.end(failed(1, AttemptOutcome.RETRYABLE_FAILED, 3.0))
    assert tally.volumes_ended == 0
    tally.end(failed(1, AttemptOutcome.TERMINAL_FAILED))
    assert tally.volumes_ended == 1


def test_endings_in_words() -> None:
    assert ending(done(1, 10, errors=1)) == "done, 10 pages, 1 error"
    assert (
        ending(failed(1, AttemptOutcome.RETRYABLE_FAILED, 12.0))
        == "retryable_failed, E_STORAGE: The store is away; again in 12 s"
    )
    assert ending(failed(1, AttemptOutcome.TERMINAL_FAILED)) == "terminal_failed, E_STORAGE: The store is away."
    assert ending(TaskEnd(claim(1), AttemptOutcome.INTERRUPTED)) == "interrupted"


def run_two_volumes(shown: SilentProgress) -> None:
    with shown:
        shown.task_started(claim(1), Manifest(claim(1).volume, "etag", ()))
        shown.pages_done(claim(1), 5, 10)
        shown.pages_done(claim(1), 10, 10)
        shown.task_ended(done(1, 10))
        shown.task_ended(failed(2, AttemptOutcome.TERMINAL_FAILED))


def test_elsewhere_than_on_a_terminal_each_volume_gets_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    shown = progress("toy", volumes(2), silent=False)
    assert isinstance(shown, LineProgress)
    run_two_volumes(shown)
    assert capsys.readouterr().err.splitlines() == [
        "[1/2] W1/I1: done, 10 pages, 0 errors",
        "[2/2] W1/I2: terminal_failed, E_STORAGE: The store is away.",
    ]


def test_a_volume_that_the_run_was_not_asked_for_gets_a_line_and_is_not_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = progress("toy", volumes(1), silent=False)
    run_two_volumes(shown)
    assert capsys.readouterr().err.splitlines() == [
        "[1/1] W1/I1: done, 10 pages, 0 errors",
        "W1/I2 of 'folder+file:///scans', which was queued before: terminal_failed, E_STORAGE: The store is away.",
    ]
    assert (shown.tally.volumes_ended, shown.tally.pages_known) == (1, "10")


def test_a_volume_that_is_begun_anew_for_a_newer_version_counts_once() -> None:
    tally = PageTally(volumes(1))
    tally.end(done(1, 10))
    tally.end(dataclasses.replace(done(1, 12), claim=dataclasses.replace(claim(1), task_id=2)))
    assert (tally.volumes_ended, len(tally.asked)) == (1, 1)


def test_silence_counts_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    shown = progress("toy", volumes(2), silent=True)
    run_two_volumes(shown)
    assert (shown.tally.pages_done, shown.tally.volumes_ended) == (10, 2)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_and_a_line_for_each_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()

    def terminal(*, stderr: bool = False) -> Console:
        assert stderr
        return Console(file=screen, force_terminal=True, width=100)

    monkeypatch.setattr(module, "console", terminal)
    shown = progress("toy", volumes(2), silent=False)
    assert isinstance(shown, BarProgress)
    run_two_volumes(shown)
    assert "W1/I2: terminal_failed, E_STORAGE: The store is away." in screen.getvalue()
    assert "10/10 pages" in screen.getvalue()
    assert "2/2 volumes" in screen.getvalue()
    assert "toy" in screen.getvalue(), "the job is named"


def test_pages_are_counted_as_far_as_they_are_known() -> None:
    tally = PageTally(volumes(2))
    assert tally.pages_known == "0+"
    tally.pages(claim(1), 3, 10)
    assert tally.pages_known == "10+"
    tally.end(done(1, 10))
    tally.pages(claim(2), 0, 1000)
    assert tally.pages_known == "1,010"


def test_pages_that_are_skipped_or_taken_over_are_no_speed() -> None:
    clock = Clock()
    tally = PageTally(volumes(2), clock=clock)
    tally.pages(claim(1), 0, 10)
    tally.pages(claim(1), 10, 10)
    skipped = TaskResult("etag", "hash", "1", (), PageCounts(skipped=10), ())
    tally.end(TaskEnd(claim(1), AttemptOutcome.DONE, result=skipped))
    tally.end(TaskEnd(claim(2), AttemptOutcome.ADOPTED, result=skipped))
    clock.now = 0.1
    assert tally.pages_per_second == 0.0


def test_a_bar_on_a_terminal_that_becomes_narrower_leaves_no_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=90)
    monkeypatch.setattr(module, "console", lambda **_: terminal)
    with progress("toy", volumes(1), silent=False) as shown:
        shown.pages_done(claim(1), 1, 2)
        terminal.width = 40
        screen.truncate(screen.seek(0))
        shown.pages_done(claim(1), 2, 2)
        assert isinstance(shown, BarProgress)
        shown.refresh()
        # The line of 90 is three of 40 by then: the cursor goes up twice, and each of them is erased.
        assert screen.getvalue().startswith("\r\x1b[2K\x1b[1A" * 2 + "\r\x1b[2K")
        assert max(len(line) for line in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue()).split("\r")) <= 40
