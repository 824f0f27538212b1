"""Options that several commands have."""

from pathlib import Path

import pytest

from bec_orch.cli.arguments.options import parse_names, read_config
from bec_orch.cli.arguments.paths import as_it_lies, parse_path
from bec_orch.cli.program import run
from bec_orch.errors import ConfigError, UsageError
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


MIXED, COMPOSED = "Re\u0301-N\u00e9", "R\u00e9-N\u00e9"


@pytest.mark.parametrize("typed", [COMPOSED, "R\u00e9-Ne\u0301", MIXED])
def test_a_path_is_found_in_whatever_unicode_form_it_lies_and_is_typed(
    typed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / MIXED / "I1").mkdir(parents=True)
    assert parse_path(tmp_path / typed / "I1") == tmp_path / MIXED / "I1"
    assert parse_path(tmp_path / typed / "n\u00e9w") == tmp_path / MIXED / "n\u00e9w"
    monkeypatch.chdir(tmp_path)
    assert as_it_lies(Path(typed)) == Path(MIXED)
    assert as_it_lies(Path("none") / typed) == Path("none") / typed


def test_of_paths_that_look_alike_the_one_that_is_typed_counts_and_none_is_guessed(tmp_path: Path) -> None:
    decomposed = "Re\u0301-Ne\u0301"
    for name in (MIXED, decomposed):
        (tmp_path / name).mkdir()
    assert parse_path(tmp_path / MIXED) == tmp_path / MIXED
    with pytest.raises(UsageError, match=r"several look like it: Re\\u0301-N\\xe9, Re\\u0301-Ne\\u0301\.$") as refused:
        parse_path(tmp_path / COMPOSED)
    assert refused.value.code == "E_PATH_ALIKE"
    (tmp_path / COMPOSED).mkdir()
    assert parse_path(tmp_path / COMPOSED) == tmp_path / COMPOSED


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
    with pytest.raises(UsageError) as caught:
        parse_names("../I1")
    assert caught.value.code == "E_NAME_UNSAFE"
