"""What `bec run` says at its end of pages that were hardly read."""

import datetime as dt

import pytest

from bec_orch.cli.export.volumes import ExportResult
from bec_orch.cli.process.ending import EXIT_DONE, EXIT_FAILED, EXIT_PAGE_ERRORS, EXIT_USAGE
from bec_orch.cli.run.outcome import RunResult, exit_code, show
from bec_orch.core.records.overview import TaskView
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import PageCounts, VolumeRef
from bec_orch.errors import BecError, StorageError, UsageError
from bec_orch.io.sources.detect import DetectedSource
from bec_orch.io.sources.misnamed import Misnamed
from bec_orch.orch.runs.local_run import RunOutcome


def outcome(*failed: PageCounts, **counters: float) -> RunOutcome:
    unknown = dict.fromkeys(set(TaskView.__dataclass_fields__))
    known = {
        "id": 1,
        "job": "ocrv1",
        "volume": VolumeRef("W1", "I1", "folder"),
        "state": TaskState.DONE,
        "pages": PageCounts(ok=9),
        "counters": counters,
        "created_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    }
    more = [
        {"id": 2, "volume": VolumeRef("W1", "I2", "folder"), "state": TaskState.TERMINAL_FAILED, "pages": None}
        | {"failed_pages": pages, "failure_code": "E_IMAGE_EMPTY", "failure_message": "It is empty."}
        | {"failure_hint": "Scan it again."}
        for pages in failed
    ]
    return RunOutcome(tuple(TaskView(**{**unknown, **known, **each}) for each in ({}, *more)))  # type: ignore[arg-type]


def test_pages_that_are_hardly_read_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    show(RunResult(outcome(lines=40, unsure_pages=2), "out", 1.0, ()), as_json=False)
    told = capsys.readouterr().err
    assert "warning: most lines of 2 pages are read with little confidence: W1/I1." in told
    assert "`bec pages W1/I1` shows which pages they are." in told


def test_a_run_whose_pages_are_read_says_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    show(RunResult(outcome(lines=40, unsure_pages=0), "out", 1.0, ()), as_json=False)
    assert "little confidence" not in capsys.readouterr().err


def test_a_file_whose_name_hides_its_pages_is_something_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    found = DetectedSource("folder+file:///x", ())
    hidden = DetectedSource("folder+file:///x", (), misnamed=(Misnamed("a.txt", "a PDF"),))
    ends = [exit_code(RunResult(outcome(), "out", 1.0, (), detected=each)) for each in (None, found, hidden)]
    assert ends == [EXIT_DONE, EXIT_DONE, EXIT_PAGE_ERRORS]
    show(RunResult(outcome(), "out", 1.0, (), detected=hidden), as_json=True)
    assert '"kind": "a PDF"' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("It is left.", code="E_FILE_FOREIGN", hint="Move it."), EXIT_USAGE),
        (StorageError("It is gone.", code="E_ARTEFACT_GONE", hint="Look."), EXIT_FAILED),
    ],
)
def test_documents_that_failed_end_a_run_as_they_end_an_export(
    error: BecError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    exported = ExportResult("file:///out", failed=[(VolumeRef("W1", "I1", "folder"), error)])
    result = RunResult(outcome(), "out", 1.0, (), documents=exported)
    assert exit_code(result) == exported.exit_code == code
    show(result, as_json=False)
    told = capsys.readouterr().err
    assert f"failed documents of W1/I1: {error.code}: {error.message}\nhint: {error.hint}\n" in told
    # A volume that failed itself weighs more.
    assert exit_code(RunResult(outcome(PageCounts(error=1)), "out", 1.0, (), documents=exported)) == EXIT_FAILED


def test_documents_that_an_import_left_out_are_something_left_out() -> None:
    ends = [exit_code(RunResult(outcome(), "out", 1.0, (), unmatched=count)) for count in (None, 0, 1)]
    assert ends == [EXIT_DONE, EXIT_DONE, EXIT_PAGE_ERRORS]


def test_page_errors_of_a_volume_that_failed_are_in_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    show(RunResult(outcome(PageCounts(ok=3, error=4)), "out", 1.0, ()), as_json=False)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[:5]]
    assert ["W1/I2", "terminal_failed", "7", "4"] in rows
    assert ["2", "volumes", "1", "done", "16", "4"] in rows


def test_what_failed_in_a_job_that_was_run_first_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    first = outcome(PageCounts(ok=3, error=4))
    show(RunResult(outcome(), "out", 1.0, (), needed=(first,)), as_json=False)
    assert "failed W1/I2 in ocrv1: E_IMAGE_EMPTY: It is empty.\nhint: Scan it again.\n" in capsys.readouterr().err
