"""Paths that a command line names, as they lie on this machine: never empty, and in the Unicode form that is there."""

import os
from pathlib import Path

from bec_orch.core.by_name import composed, spelled_out
from bec_orch.core.names import printable
from bec_orch.errors import UsageError

_SHOWN = 5


def parse_path(text: str | Path) -> Path:
    """Return a path of the command line: the `parser` of every option that takes one.

    Raises:
        UsageError: it is empty, which would be the current folder; or several look like it (E_PATH_ALIKE).
    """
    require_named(str(text))
    return as_it_lies(Path(text))


def parse_source_name(text: str) -> str:
    """Return the name of a source: the `parser` of every option that takes one.

    Raises:
        UsageError: it is empty, which would be any source.
    """
    require_named(text)
    return text


def require_named(text: str) -> None:
    """Refuse an empty text as the name of a file, a folder or a source: an unset variable of a script leaves one.

    Raises:
        UsageError: it is empty.
    """
    if not text.strip():
        raise UsageError("An empty text names no file or folder.", hint="Name one; the current folder is `.`.")


def as_it_lies(path: Path) -> Path:
    """Return a path by the names that lie on this machine, which may be in another Unicode form than those typed.

    What is not there stays as it was typed.

    Raises:
        UsageError: a name is not there, and several that look like it are (E_PATH_ALIKE).
    """
    found = Path(path.anchor)
    for name in path.parts[len(found.parts) :]:
        found /= name if name.isascii() or os.path.lexists(found / name) else _as_it_lies(found, name)
    return found


def _as_it_lies(folder: Path, name: str) -> str:
    try:
        alike = [each.name for each in folder.iterdir() if composed(each.name) == composed(name)]
    except OSError:  # whoever opens it says what is wrong
        return name
    if len(alike) > 1:
        spellings = ", ".join(sorted(spelled_out(each) or printable(each) for each in alike)[:_SHOWN])
        where = printable(str(folder), limit=500)
        raise UsageError(
            f"There is no {printable(name)} in {where}, and several look like it: {spellings}.",
            code="E_PATH_ALIKE",
            hint="They differ in their Unicode form: have the shell complete the name, or rename them.",
        )
    return alike[0] if alike else name
