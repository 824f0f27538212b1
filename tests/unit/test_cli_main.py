"""The program as a whole: every command has help, an example and --json; every error becomes a line and a code."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from bec_orch import __version__
from bec_orch.cli import commands
from bec_orch.cli.jobs import commands as jobs
from bec_orch.cli.program import app, run
from bec_orch.core.job_types.registry import job_types
from tests.support.commands import COMMANDS, Command

# What they show is seen in a browser, and has JSON at an address of its own.
OPEN_A_BROWSER = (("serve",), ("view",))


@pytest.fixture(autouse=True)
def somewhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BEC_HOME", str(tmp_path / "home"))
    yield
    assert not (tmp_path / "home").exists(), "none of these command lines needs a database"


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_every_command_has_help_an_example_and_json(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*command.words, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"Example: bec {' '.join(command.words)}" in out
    assert ("--json" in out) == (command.words not in OPEN_A_BROWSER)
    assert max(len(line) for line in out.splitlines()) <= 100


def test_no_arguments_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    assert "Begin with: bec demo" in capsys.readouterr().out


@pytest.mark.parametrize("group", sorted({name.split()[0] for name in COMMANDS if " " in name} - COMMANDS.keys()))
def test_a_group_without_a_command_prints_its_help(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([group]) == 0
    assert f"Usage: bec {group}" in capsys.readouterr().out


def test_the_help_of_a_run_lists_types_exit_codes_and_text_recognition(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["run", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Job type: " in out
    assert all(name in out for name in job_types())
    assert "Exit codes: 0 all is done, 1 a volume failed" in out
    assert "Example: bec run ocrv1 ~/scans --out ~/lines" in out


READING = [
    *(["jobs", "list"], ["jobs", "show", "x"], ["jobs", "stats", "x"], ["jobs", "graph"], ["jobs", "delete", "x"]),
    *(["queue", "stats", "x"], ["queue", "peek", "x"], ["queue", "redrive", "x"], ["queue", "purge", "x", "--yes"]),
    *(["workers"], ["errors"], ["audit"], ["db", "status"], ["scale", "status", "x", "--local"]),
    *(["worker", "--job", "x"], ["run-volume", "x", "W1", "I1"], ["eval", "report", "x"]),
]


@pytest.mark.parametrize("line", READING, ids=" ".join)
def test_to_look_at_a_home_that_is_not_there_makes_none(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line) == 2
    assert capsys.readouterr().err.startswith("error E_HOME_MISSING: There is no database of jobs in ")


def test_the_homes_that_are_there_are_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    assert run(["jobs", "list"]) == 2
    assert "`bec run` and `bec jobs create` make one" in capsys.readouterr().err
    for name in ("lines", "no-home"):
        (tmp_path / name / "pg" / "data").mkdir(parents=True)
    (tmp_path / "lines" / "pg" / "data" / "PG_VERSION").write_text("16\n")
    assert run(["jobs", "list"]) == 2
    told = capsys.readouterr().err
    assert f"'{tmp_path / 'lines'}'" in told
    assert "no-home" not in told
    for here in (tmp_path / "lines", tmp_path / "lines" / "pg"):
        monkeypatch.chdir(here)
        assert run(["jobs", "list"]) == 2
        assert f"--home names it: '{tmp_path / 'lines'}'." in capsys.readouterr().err


def test_a_shell_completes_types_and_no_jobs_where_there_is_no_home(tmp_path: Path) -> None:
    line = {"_BEC_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    expected = (
        ("bec run ld", "ldv1"),
        ("bec errors --job ", ""),
        ("bec export j --format p", "page\npdf"),
        ("bec run ldv1 . --export txt,al", "txt,alto"),
        ("bec export j --format page,p", "page,pdf"),
    )
    for words, completed in expected:
        done = subprocess.run(
            [sys.executable, "-m", "bec_orch.cli.main"],
            env={**os.environ, **line, "COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.stdout.strip(), done.stderr) == (completed, "")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"bec-orch {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["jobs", "lst"], "No such command 'lst'. Did you mean 'list'?"),
        (["jbos"], "No such command 'jbos'. Did you mean 'jobs'?"),
        (["jobs", "show"], "Missing argument 'JOB'."),
        (["jobs", "tasks", "x", "--limit", "0"], "Invalid value for '--limit': Input should be greater"),
        (["jobs", "tasks", "x", "--state", "lost"], "Invalid value for '--state': 'lost' is not one of"),
        (["queue", "peek", "x", "--limit", "1001"], "Invalid value for '--limit': Input should be less"),
        (["run", "ldv1"], "Missing argument 'PATH|SOURCE'."),
        (["--nope"], "No such option: --nope"),
    ],
)
def test_a_command_line_that_cannot_be_is_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert run(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"error E_USAGE: {sentence}")
    assert lines[1].startswith("hint: ")
    assert len(lines) == 2


def test_a_wrong_setting_is_reported_but_help_needs_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BEC_THREADS", "many")
    assert run(["jobs", "list", "--help"]) == 0
    assert run(["jobs", "list"]) == 2
    assert capsys.readouterr().err.startswith("error E_CONFIG: The setting BEC_THREADS is wrong: ")


def test_an_unknown_setting_is_a_warning(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BEC_TREADS", "1")
    assert run(["config", "show"]) == 0
    assert capsys.readouterr().err == (
        "warning: BEC_TREADS is set, but not a setting.\nhint: Did you mean BEC_THREADS?\n"
    )


def test_config_show_names_origins_and_no_secret(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BEC_SQL_HOST", "localhost")
    monkeypatch.setenv("BEC_SQL_PASSWORD", "canary-7f3a")
    (tmp_path / ".env").write_text("BEC_REGION=eu-west-1\n")
    assert run(["--home", "here", "config", "show"]) == 0
    assert "canary-7f3a" not in capsys.readouterr().out
    assert run(["--home", "here", "config", "show", "--json"]) == 0
    shown = {row["name"]: (row["value"], row["origin"]) for row in json.loads(capsys.readouterr().out)}
    assert shown["BEC_HOME"] == (str(tmp_path / "here"), "flag")
    assert shown["BEC_REGION"] == ("eu-west-1", ".env")
    assert shown["BEC_SQL_PASSWORD"] == ("**********", "environment")
    assert shown["BEC_SQL_PORT"] == ("5432", "default")


@pytest.mark.parametrize("arguments", [["--debug", "jobs", "types"], ["jobs", "types", "--debug"]])
def test_an_unexpected_fault_is_a_line_and_debug_shows_where(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def broken() -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(jobs, "job_types", broken)
    assert run(["jobs", "types"]) == 1
    assert "Traceback" not in capsys.readouterr().err
    assert run(arguments) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert "in broken" in err
    assert "error E_INTERNAL: ZeroDivisionError: oh\n" in err


def test_ctrl_c_is_130_with_a_word(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(jobs, "job_types", interrupted)
    assert run(["jobs", "types"]) == 130
    assert capsys.readouterr().err.startswith("Interrupted. What was finished is kept")


def test_main_ends_the_process_with_the_exit_code() -> None:
    done = subprocess.run([sys.executable, "-m", "bec_orch.cli.main", "nonsense"], capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error E_USAGE: ")


def test_job_types_and_their_schemas(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["jobs", "types"]) == 0
    assert "ldv1" in capsys.readouterr().out
    assert run(["jobs", "types", "--schema", "ldv1"]) == 0
    assert '"line_pitch"' in capsys.readouterr().out
    assert run(["jobs", "types", "--schema", "nope"]) == 2
    assert capsys.readouterr().err.startswith("error E_JOB_TYPE: There is no job type 'nope'.")


def test_the_commands_are_found_by_walking_the_program() -> None:
    assert isinstance(typer.main.get_command(app), typer.core.TyperGroup)
    assert {"run", "demo", "jobs list", "queue enqueue", "doctor"} <= COMMANDS.keys()


def test_what_a_command_needs_is_imported_when_it_is_called() -> None:
    heavy = "{'numpy', 'pyarrow', 'psycopg', 'boto3', 'obstore', 'onnxruntime', 'cv2'}"
    program = (
        "import sys; from bec_orch.cli.program import run; run(['--version']); "
        f"print(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == f"bec-orch {__version__}\n[]\n"


def test_ctrl_c_while_a_command_is_imported_leaves_no_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_name: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "import_module", interrupted)
    commands._command.cache_clear()
    assert run(["doctor"]) == 130
    assert capsys.readouterr().err.lstrip().startswith("Interrupted.")


def test_threads_that_the_system_does_not_grant_are_reported_before_libraries_crash(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    commands._require_room.cache_clear()
    commands._command.cache_clear()
    assert run(["jobs", "list"]) == 1
    assert capsys.readouterr().err.startswith("error E_PROCESSES: The system starts no further process or thread")


def test_what_is_no_exception_is_reported_in_one_line_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Panic(BaseException):
        pass

    def panic() -> None:
        raise Panic("index out of bounds")

    monkeypatch.setattr(jobs, "job_types", panic)
    assert run(["jobs", "types"]) == 1
    assert capsys.readouterr().err.startswith("error E_INTERNAL: Panic: index out of bounds")
