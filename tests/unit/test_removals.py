"""Holds the table of docs/guarantees.md to the code: every place that removes or writes over something is in it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import bec_orch

PACKAGE = Path(bec_orch.__file__).resolve().parent
GUARANTEES = Path(__file__).parents[2] / "docs" / "guarantees.md"

_ROW = re.compile(r"^\| `bec_orch/([\w/]+\.py)` `(\w+)` \|", re.MULTILINE)
# Calls that do nothing else, whoever they are made on.
_ALWAYS = frozenset(
    {"unlink", "rmtree", "rmdir", "rename", "renames", "write_bytes", "write_text", "truncate", "ftruncate", "copytree"}
    | {"copyfile", "copy2", "move", "removedirs"}
)
# Calls that do so on a store of objects; on others they are something else.
_OF_STORES = frozenset({"delete", "replace", "put"})
_WRITING = re.compile(r"[wa][bt]?\+?")
_STORES = frozenset({"objects", "_objects", "obstore", "self"})


def removals(tree: ast.AST) -> Iterator[str]:
    """Return the calls that remove, or write over, a file or an object."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _removes(node, node.func):
            yield node.func.attr
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open" and _writes(node):
            yield "open"


def _removes(call: ast.Call, called: ast.Attribute) -> bool:
    name, receiver = called.attr, called.value
    on = receiver.attr if isinstance(receiver, ast.Attribute) else getattr(receiver, "id", "")
    if name == "open":
        return _writes(call)
    if name == "replace" and on not in _STORES:
        # A path's takes one argument, a text's two.
        return len(call.args) == 1 and not call.keywords
    if name == "remove":
        return on == "os"
    return name in _ALWAYS or (name in _OF_STORES and on in _STORES)


def _writes(call: ast.Call) -> bool:
    """Return whether a file is opened to write over it or to append to it."""
    return any(isinstance(one, ast.Constant) and _WRITING.fullmatch(str(one.value)) for one in call.args)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("self._objects.delete([key])", ["delete"]),
        ("objects.replace(key, data, etag)", ["replace"]),
        ("obstore.put(store, key, data)", ["put"]),
        ("fresh.replace(file)", ["replace"]),
        ("os.remove(path)", ["remove"]),
        ("shutil.rmtree(folder)", ["rmtree"]),
        ("path.open('wb')", ["open"]),
        ("path.open('ab')", ["open"]),
        ("open(path, 'ab+')", ["open"]),
        ("open(path, 'xb')", []),
        ("text.replace('a', 'b')", []),
        ("self._queue.delete(receipt)", []),
        ("children.remove(child)", []),
        ("path.open('rb')", []),
    ],
)
def test_the_rule_finds_what_removes(code: str, found: list[str]) -> None:
    assert list(removals(ast.parse(code))) == found


def test_every_place_that_removes_or_writes_over_is_listed_with_the_mark_that_it_asks_for() -> None:
    in_code = {
        (path.relative_to(PACKAGE).as_posix(), name)
        for path in PACKAGE.rglob("*.py")
        for name in removals(ast.parse(path.read_text("utf-8")))
    }
    told = _ROW.findall(GUARANTEES.read_text("utf-8"))
    assert sorted(told) == sorted(in_code)
