"""The docs are true: commands, options, settings, columns, the tree of the house, and every link."""

import re
from pathlib import Path

import pytest

from bec_orch.cli.process import ending
from bec_orch.cli.process.words import EXIT_INTERRUPTED
from bec_orch.core.tasks import TaskState
from bec_orch.settings.config import Settings, variable
from tests.support import house
from tests.support.commands import COMMANDS, Command

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md")])

# Told once for all commands, at the top of docs/cli.md.
EVERYWHERE = {"--json", "--help"}
_EXIT_CODES = ("cli.md", "getting-started.md")


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def sections() -> dict[str, str]:
    parts = re.split(r"^### bec (.+)$", page("cli.md"), flags=re.MULTILINE)
    return {title: body.split("\n## ")[0] for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_every_command_is_documented_and_no_other() -> None:
    assert sections().keys() == COMMANDS.keys()


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS.keys())
def test_every_option_is_documented_and_no_other(command: Command) -> None:
    table = "\n".join(re.findall(r"^\| (`-.*?) \|", sections()[" ".join(command.words)], re.MULTILINE))
    assert set(re.findall(r"--[a-z-]+", table)) == command.options - EVERYWHERE


def test_the_exit_codes_are_documented_and_no_other() -> None:
    codes = {EXIT_INTERRUPTED, *(code for name, code in vars(ending).items() if name.startswith("EXIT_"))}
    found = {name: re.findall(r"^\| (\d+) \| .+ \|$", page(name), flags=re.MULTILINE) for name in _EXIT_CODES}
    assert [int(code) for code in found["cli.md"]] == sorted(codes)
    assert {int(code) for code in found["getting-started.md"]} < codes


def test_every_task_state_is_documented() -> None:
    assert [state for state in TaskState if f"`{state}`" not in page("cli.md")] == []


def test_every_setting_is_documented_with_its_default_and_no_other() -> None:
    rows = re.findall(r"^\| `((?:AWS|BEC)_\w+)` \| (.*?) \|", page("configuration.md"), re.MULTILINE)
    told = dict(rows)
    assert len(told) == len(rows)
    assert told.keys() == {variable(field) for field in Settings.model_fields}
    for field, info in Settings.model_fields.items():
        if info.default_factory is None and info.default not in {None, ()}:
            assert f"`{info.default}`" in told[variable(field)], field


def test_every_variable_that_any_page_names_is_a_setting() -> None:
    known = {variable(field) for field in Settings.model_fields}
    named = {name for file in PAGES for name in re.findall(r"\bBEC_[A-Z][A-Z_]*[A-Z]\b", file.read_text("utf-8"))}
    assert named - {"BEC_SQL"} <= known


def test_commands_in_examples_exist() -> None:
    text = "\n".join(file.read_text("utf-8") for file in PAGES)
    used = re.findall(r"(?:^|`)bec (?:--home \S+ )?([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", text, re.MULTILINE)
    groups = {name.split()[0] for name in COMMANDS if " " in name}
    called = {f"{first} {second}" if first in groups and second else first for first, second in used}
    assert called - groups <= COMMANDS.keys()
    assert len(called) > len(groups)


@pytest.mark.parametrize("file", PAGES, ids=[file.name for file in PAGES])
def test_links_lead_somewhere(file: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", file.read_text("utf-8"))
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (file.parent / link).exists()] == []


def test_the_tree_of_the_house_is_the_real_tree() -> None:
    assert house.written() == house.tree(), "`python -m tests.support.house` writes it anew"


def test_what_is_to_be_added_is_added_as_what_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    table = re.findall(r"^\| an? [^|]+ \| `(\w+)` \| (.+) \|$", text, re.MULTILINE)
    assert len(table) >= 7
    for example, files in table:
        places = re.findall(r"`(bec_orch/[\w/.]+|pyproject\.toml)`", files)
        assert places, files
        for place in places:
            path = house.PACKAGE.parent / place if place.startswith("bec_orch/") else ROOT / place
            there = (
                {one.stem for one in path.iterdir()} if path.is_dir() else re.findall(r"\w+", path.read_text("utf-8"))
            )
            assert example in there, f"{place} has nothing of {example}"


def test_the_modules_that_the_walk_names_are_there() -> None:
    named = re.findall(r"`([a-z]\w*/[\w/]*(?:\.(?:py|sql)|/))`", page("architecture.md"))
    assert len(named) > 30
    assert [name for name in named if not (house.PACKAGE / name).exists()] == []


def test_the_columns_of_ldv1_are_documented() -> None:
    worker = pytest.importorskip("bec_orch.jobs.ldv1.worker")
    told = set(re.findall(r"`(\w+)`", page("artefact-formats.md")))
    assert {field.name for field in worker.SCHEMA} <= told


def test_decisions_are_numbered_in_order() -> None:
    numbers = [int(number) for number in re.findall(r"^## (\d+)\. ", page("decisions.md"), re.MULTILINE)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_tests_that_show_the_guarantees_are_there() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    named = [found for found in re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", text) if not found[0].startswith("bec_orch/")]
    for file, test in named:
        path = next((path for path in (ROOT / "tests" / file, ROOT / file) if path.is_file()), None)
        assert path, file
        assert f"def {test}" in path.read_text("utf-8"), test
    assert len(named) > 20


def test_every_guarantee_is_documented() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
    numbers = [int(number) for number in re.findall(r"^\| G(\d+) \|", text, re.MULTILINE)]
    assert numbers == sorted(set(numbers))
    assert {*range(1, 32), 33, 34} <= set(numbers)
