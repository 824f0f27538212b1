"""The tree of the house in docs/architecture.md: made of the real tree, each module by the beginning of its docstring.

`python -m tests.support.house` writes it anew; a test holds that nothing is left to write.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import bec_orch

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "architecture.md"
PACKAGE = Path(bec_orch.__file__).resolve().parent

# What is no module cannot tell by itself what it is for.
TOLD = {
    "pyproject.toml": "Package, extras, and the rules of the checks",
    "requirements.txt": "The lock: what a run needs",
    "requirements-dev.txt": "The lock: tests and checks on top",
    "Makefile": "One command for each thing: demo, test, check, lock",
    "schema.sql": "All tables, as the migrations leave them",
    "README.md": "What this is, and how to begin",
    "CHANGELOG.md": "What changes for operators",
    "CONTRIBUTING.md": "How to change the code",
    "LICENSE": "MIT",
    "bec-worker@.service": "The worker as a service of systemd",
    "deploy/": "What a fleet needs: policies, templates, start-up",
    ".ci/": "What a change must pass",
    "bench/": "Scripts that measure speed and quality",
    "docs/": "Concepts, command line, configuration, formats, decisions",
    "samples/": "Two drawn volumes with known lines, and what draws them",
    "training/": "The models of our own: pages and lines are composed, networks trained, exported, judged",
    "tests/": "Unit, integration, acceptance, conformance, a model of tasks, mutants, hostile input, fuzzing",
    "bec_orch/": "The package",
    "migrations/": "The numbered steps of the schema",
}
GENERATED = {"build", "dist", "bec-demo"}
WIDTH = 100
COLUMN = 28

_BLOCK = re.compile(r"(?<=## The house\n\n```\n).*?(?=```\n)", re.DOTALL)


def tree() -> str:
    """Return the tree as it should stand in that page."""
    names = [_name(path) for path in ROOT.iterdir() if not _is_passing(path)]
    files = sorted(name for name in names if not name.endswith("/"))
    folders = sorted({*(name for name in names if name.endswith("/")), ".ci/"} - {"bec_orch/"})
    lines = [_line(0, name, TOLD[name]) for name in [*files, *folders, "bec_orch/"]]
    return "\n".join([*lines, *_package(PACKAGE, 1)]) + "\n"


def written() -> str:
    """Return the tree that stands there."""
    found = _BLOCK.search(PAGE.read_text("utf-8"))
    assert found, "docs/architecture.md has no section 'The house' with a tree in it"
    return found[0]


def _package(folder: Path, depth: int) -> Iterator[str]:
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    # Python's caches stay behind in folders that are packages no more.
    packages = sorted(path for path in folder.iterdir() if path.is_dir() and _suffixes(path) & {".py", ".sql"})
    for path in modules:
        yield _line(depth, path.name, _told(path))
    for path in packages:
        yield _line(depth, f"{path.name}/", TOLD.get(f"{path.name}/") or _told(path / "__init__.py"))
        if depth == 1:
            yield from _package(path, depth + 1)


def _suffixes(folder: Path) -> set[str]:
    return {path.suffix for path in folder.iterdir()}


def _told(module: Path) -> str:
    return " ".join((ast.get_docstring(ast.parse(module.read_text("utf-8"))) or "").split("\n\n")[0].split())


def _line(depth: int, name: str, told: str) -> str:
    return f"{'  ' * depth}{name}".ljust(COLUMN) + _fitting(told)


def _fitting(told: str) -> str:
    """Return as much of a sentence as fits, up to one of its own pauses; cut it between words if it has none there."""
    pauses = [match.start() for match in re.finditer(r"[.:;,](?= |$)", told)]
    fitting = [pause for pause in [*pauses, len(told)] if pause <= WIDTH - COLUMN]
    full_stop = told.find(". ") if ". " in told else len(told)
    best = max((pause for pause in fitting if pause <= full_stop), default=0)
    return told[:best].rstrip(".") if best else told[: WIDTH - COLUMN - 2].rpartition(" ")[0] + " …"


def _name(path: Path) -> str:
    return f"{path.name}/" if path.is_dir() else path.name


def _is_passing(path: Path) -> bool:
    return path.name.startswith((".", "__")) or path.name in GENERATED or path.suffix in {".egg-info", ".whl"}


if __name__ == "__main__":
    PAGE.write_text(_BLOCK.sub(lambda _: tree(), PAGE.read_text("utf-8")), "utf-8")
