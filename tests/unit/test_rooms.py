"""The folders of the package stand one above the other: none needs a folder that needs it, over however many steps.

A module counts as its folder, so that what several rooms share cannot lie in the hallway between them.
"""

import ast
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

from bec_orch.core.job_types.registry import job_types
from tests.support.house import PACKAGE

ROOT = "bec_orch"
# Folders without modules: what they have stands in their `__init__.py`.
FACADES = {"bec_orch.plugin"}


def needed(modules: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the rooms that each room needs, from the modules that each module imports."""
    packages = {module.rpartition(".")[0] for module in modules} | FACADES
    room = {module: module if module in packages else module.rpartition(".")[0] for module in modules}
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, imported in modules.items():
        rooms[room[module]] |= {room[name] for name in imported} - {room[module]}
    return rooms


def test_the_rooms_stand_one_above_the_other() -> None:
    graph = grimp.build_graph(ROOT, cache_dir=None)
    rooms = needed({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})
    assert len(rooms) > 50
    TopologicalSorter(rooms).prepare()


def test_a_hallway_that_needs_its_rooms_is_seen() -> None:
    modules = {
        "bec_orch": set[str](),
        "bec_orch.io": set[str](),
        "bec_orch.io.store": set[str](),
        "bec_orch.io.opening": {"bec_orch.io.s3.keys"},
        "bec_orch.io.s3": set[str](),
        "bec_orch.io.s3.keys": {"bec_orch.io.store"},
    }
    with pytest.raises(CycleError):
        TopologicalSorter(needed(modules)).prepare()


def test_no_job_type_is_named_outside_of_its_room_but_in_the_demo() -> None:
    types = job_types().keys()
    named = {
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in types
    }
    assert {name for name in named if not name.startswith("jobs/")} == {"cli/run/demo.py"}
