"""The folders of the package stand one above the other: none needs a folder that needs it, over however many steps.

A module counts as its folder, so that what several rooms share cannot lie in the hallway between them.
"""

from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

ROOT = "bec_orch"
# Whose rooms are still being parted.
UNFINISHED = ("bec_orch.jobs.ldv1", "bec_orch.web")


def room(module: str, packages: set[str]) -> str:
    """Return the folder of a module. Those of the root are floors of their own, from `errors` up to `plugin`."""
    folder = module if module in packages else module.rpartition(".")[0]
    return module if folder == ROOT else folder


def needed(modules: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the rooms that each room needs, from the modules that each module imports."""
    packages = {module.rpartition(".")[0] for module in modules} | {ROOT}
    rooms: dict[str, set[str]] = defaultdict(set)
    for module, imported in modules.items():
        rooms[room(module, packages)] |= {room(name, packages) for name in imported} - {room(module, packages)}
    return rooms


def is_unfinished(one: str, other: str) -> bool:
    """Return whether both rooms are of one part that is being redrawn."""
    return any(one.startswith(part) and other.startswith(part) for part in UNFINISHED)


def test_the_rooms_stand_one_above_the_other() -> None:
    graph = grimp.build_graph(ROOT, cache_dir=None)
    rooms = needed({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})
    assert len(rooms) > 50
    finished = {one: {other for other in others if not is_unfinished(one, other)} for one, others in rooms.items()}
    TopologicalSorter(finished).prepare()


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
