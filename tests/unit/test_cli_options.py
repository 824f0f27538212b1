"""Options that several commands have."""

from pathlib import Path

import pytest

from bec_orch.cli.arguments.options import parse_names, read_config
from bec_orch.cli.program import run
from bec_orch.errors import ConfigError, NameUnsafeError, UsageError
from tests.support.commands import COMMANDS

PATHS = [("--home",), *((*command.words, option) for command in COMMANDS.values() for option in sorted(command.paths))]


@pytest.mark.parametrize("words", PATHS, ids=" ".join)
@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_path_is_refused_by_every_option(
    words: tuple[str, ...], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, text]) == 2
    told = capsys.readouterr().err.splitlines()
    assert told[-2:] == [
        "error E_USAGE: An empty text names no file or folder.",
        "hint: Name one; the current folder is `.`.",
    ]


def test_the_options_with_paths_are_found() -> None:
    assert {("demo", "--out"), ("run", "--out"), ("queue", "enqueue", "--file")} <= set(PATHS)


def test_a_config_comes_from_a_file_or_from_the_command_line(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text('{"unit": 2}')
    assert read_config(file, None) == {"unit": 2}
    assert read_config(None, '{"unit": 3}') == {"unit": 3}
    assert read_config(None, None) is None


@pytest.mark.parametrize("text", ["{", "[1]", "3", ""])
def test_what_is_no_json_object_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json' is not"):
        read_config(file, None)


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.json' cannot be read: No such file or directory\.$"):
        read_config(tmp_path / "missing.json", None)
    (tmp_path / "latin.json").write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "latin.json", None)


def test_both_ways_at_once_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both"):
        read_config(tmp_path / "config.json", "{}")


def test_volumes_are_named_by_work_and_volume() -> None:
    assert parse_names("W1/I1") == ("W1", "I1")
    with pytest.raises(UsageError):
        parse_names("W1")
    with pytest.raises(NameUnsafeError):
        parse_names("../I1")
