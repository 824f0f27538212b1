"""What commands print: tables, JSON, errors, and nothing that could steer a terminal."""

import dataclasses
import datetime as dt
import errno
import json
import uuid
from pathlib import Path

import pytest

from bec_orch.cli.checks.audit import print_states
from bec_orch.cli.process.ending import print_error
from bec_orch.cli.terminal import console as console_module
from bec_orch.cli.terminal.console import as_text, print_json, print_record, print_rows, program, say
from bec_orch.core.records.ledger import JobStates
from bec_orch.core.volumes import PageCounts
from bec_orch.core.wording import counted
from bec_orch.errors import BecError, ConfigError, DatabaseRefused, Interrupted, StorageError, UsageError


@dataclasses.dataclass(frozen=True)
class Thing:
    name: str
    when: dt.datetime
    where: Path
    id: uuid.UUID


def test_json_has_dataclasses_times_paths_and_ids(capsys: pytest.CaptureFixture[str]) -> None:
    thing = Thing("ཀ", dt.datetime(2026, 1, 2, tzinfo=dt.UTC), Path("/a"), uuid.UUID(int=1))
    print_json({"things": [thing], "pages": PageCounts(ok=1)})
    assert json.loads(capsys.readouterr().out) == {
        "things": [
            {
                "name": "ཀ",
                "when": "2026-01-02T00:00:00+00:00",
                "where": "/a",
                "id": "00000000-0000-0000-0000-000000000001",
            }
        ],
        "pages": {"ok": 1, "skipped": 0, "error": 0},
    }


def test_json_refuses_what_it_does_not_know() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        print_json(object())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        (True, "yes"),
        (False, "no"),
        (12345, "12,345"),
        (0.5, "0.50"),
        ({"a": [1]}, '{"a": [1]}'),
        ("plain", "plain"),
        ("\x1b[31mred\n", "\\x1b[31mred\n"),
    ],
)
def test_values_as_people_read_them(value: object, text: str) -> None:
    assert as_text(value) == text


def test_times_are_local_and_to_the_second() -> None:
    time = dt.datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=dt.UTC)
    assert as_text(time) == time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def test_tables_fit_100_columns_and_lose_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 250
    print_rows(
        [{"name": "[bold]W1[/bold]", "text": long, "n": 1}], {"name": "volume", "text": "text", "n": "n"}, empty=""
    )
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 100
    assert out.count("x") == len(long) + "text".count("x")
    assert "[bold]W1[/bold]" in out


def test_an_empty_table_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], {"name": "volume"}, empty="There are no volumes.")
    assert capsys.readouterr().out == "There are no volumes.\n"


def test_records_have_a_line_for_each_field(capsys: pytest.CaptureFixture[str]) -> None:
    print_record({"pages with E_IMAGE_TRUNCATED": 5, "needs": None})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [["pages", "with", "E_IMAGE_TRUNCATED", "5"], ["needs", "-"]]


def test_tables_break_between_words_as_long_as_the_longest_ones_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_module, "WIDTH", 80)
    words = "the manifest of this volume names thirteen pages that its folder does not hold any more"
    row = {
        "task": 1,
        "volume": "W1BEC001/I1BEC0001",
        "state": "terminal_failed",
        "code": "E_MANIFEST_BROKEN",
        "why": words,
    }
    print_rows([row], {key: key for key in row}, empty="")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    shown = out.split()
    assert {"W1BEC001/I1BEC0001", "terminal_failed", "E_MANIFEST_BROKEN", *words.split()} <= set(shown)


def test_a_word_that_fits_nowhere_is_folded_and_lost_nowhere(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_module, "WIDTH", 40)
    print_rows([{"short": "ab", "long": "x" * 100}], {"short": "short", "long": "long"}, empty="")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 40
    assert out.count("x") == 100


def test_names_are_folded_before_numbers_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console_module, "WIDTH", 40)
    row = {"job": "x" * 20, "done": 1234567, "canceled": 7654321, "failed": 1111111}
    print_rows([row], {key: key for key in row}, empty="")
    out = capsys.readouterr().out
    assert {"1,234,567", "7,654,321", "1,111,111"} <= set(out.split())
    assert out.count("x") == 20


def test_lines_with_paths_are_not_wrapped(capsys: pytest.CaptureFixture[str]) -> None:
    path = "/folder" * 40
    say(f"Artefacts: {path}")
    assert capsys.readouterr().out == f"Artefacts: {path}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("No."), 2),
        (ConfigError("No."), 2),
        (StorageError("No."), 1),
        (BecError("No.", code="E_WORKER_STOPPED"), 1),
        (Interrupted("No."), 130),
        (DatabaseRefused("broken"), 4),
        (DatabaseRefused("no room", code="E_DISK_FULL"), 1),
    ],
)
def test_errors_are_one_line_with_a_hint_and_an_exit_code(
    capsys: pytest.CaptureFixture[str], error: BecError, code: int
) -> None:
    error.message = "The volume 'a'\n  is\x1b[2J broken."
    error.hint = "Mend it."
    assert print_error(error, debug=False) == code
    assert capsys.readouterr().err == f"error {error.code}: The volume 'a' is\\x1b[2J broken.\nhint: Mend it.\n"


def test_an_unexpected_exception_advises_to_run_with_debug(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_error(ZeroDivisionError("division by zero"), debug=False) == 1
    err = capsys.readouterr().err
    assert err.startswith("error E_INTERNAL: ZeroDivisionError: division by zero\nhint: ")
    assert "--debug" in err
    assert "Traceback" not in err


def test_an_operating_system_that_has_no_room_is_no_fault_of_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    assert print_error(OSError(errno.ENOSPC, "No space left on device", "/scans/x"), debug=False) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first == "error E_DISK_FULL: The disk is full: No space left on device."
    assert second.startswith("hint: Free space")


@pytest.mark.parametrize(
    ("error", "begins"),
    [
        (MemoryError(), "error E_MEMORY: The memory of this process ran out: "),
        (ImportError("x.so: failed to map segment from shared object"), "error E_MEMORY: The memory of this process"),
        (OSError(errno.EMFILE, "Too many open files"), "error E_OPEN_FILES: This process has as many files open"),
        (RuntimeError("can't start new thread"), "error E_PROCESSES: The system starts no further process or thread"),
    ],
)
def test_what_ran_out_is_no_fault_of_the_program(
    capsys: pytest.CaptureFixture[str], error: Exception, begins: str
) -> None:
    assert print_error(error, debug=False) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(begins)
    assert second.startswith("hint: ")


def test_a_panic_of_a_library_in_rust_says_what_ran_out(capsys: pytest.CaptureFixture[str]) -> None:
    class Panic(BaseException):
        pass

    print_error(Panic("OS can't spawn worker thread: Resource temporarily unavailable (os error 11)"), debug=False)
    assert capsys.readouterr().err.startswith("error E_PROCESSES: ")


def test_a_file_that_is_not_there_is_no_folder_that_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(FileNotFoundError(errno.ENOENT, "No such file or directory"), debug=False)
    assert capsys.readouterr().err.startswith("error E_INTERNAL: ")


def test_debug_shows_the_traceback_with_its_cause(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        try:
            raise KeyError("cause")
        except KeyError as error:
            raise UsageError("No.") from error

    with pytest.raises(UsageError) as caught:
        fail()
    print_error(caught.value, debug=True)
    err = capsys.readouterr().err
    assert "KeyError: 'cause'" in err
    assert err.endswith("error E_USAGE: No.\n")


@pytest.mark.parametrize(("number", "words"), [(0, "0 pages"), (1, "1 page"), (12345, "12,345 pages")])
def test_one_thing_is_written_in_the_singular(number: int, words: str) -> None:
    assert counted(number, "page") == words


@pytest.mark.parametrize(
    ("called", "on_path", "told"),
    [
        (".venv/bin/bec", False, ".venv/bin/bec"),
        (".venv/bin/bec", True, "bec"),
        ("/src/bec_orch/cli/main.py", False, "bec"),
    ],
)
def test_the_program_is_named_so_that_a_shell_finds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, called: str, told: str, *, on_path: bool
) -> None:
    if on_path:
        (tmp_path / "bec").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sys.argv", [called, "demo"])
    assert program() == told


def test_names_that_look_alike_are_told_apart(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"volume": "Caf\u00e9/I1"}, {"volume": "Cafe\u0301/I1"}]
    print_rows(rows, {"volume": "volume"}, empty="")
    shown = capsys.readouterr().out
    assert "Cafe\u0301/I1 (Cafe\\u0301/I1)" in shown
    assert "Caf\u00e9/I1 (" not in shown
    print_json(rows)
    told = capsys.readouterr().out
    assert "Cafe\\u0301/I1" in told
    assert json.loads(told) == rows


def test_jobs_whose_long_names_begin_alike_are_told_apart_by_the_audit(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["ocr-woodblock-1", "ocr-woodblock-2"]
    print_states([JobStates(name, *range(8)) for name in names])
    assert set(names) <= set(capsys.readouterr().out.split())
