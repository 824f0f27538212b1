"""Files that have pages by what is in them, and not by their names: they are left out, and told."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bec_orch.core.first_bytes import READ, page_kind
from bec_orch.core.names import escaped
from bec_orch.io.sources.page_files import NoPage, why_no_page

MOST_IN_FOLDER = 100
MOST = 10_000
"""Files that are looked into, in one folder and below a path: those of a folder are alike, and opening takes time."""
_LOOKED_INTO = frozenset({NoPage.SIDECAR, NoPage.OTHER})
RENAME = "Give it the suffix of what it is, such as .pdf or .jpg, or move it away."


@dataclass(frozen=True, slots=True)
class Misnamed:
    """A file that no layout takes for a page, and what it is by its first bytes."""

    file: str
    kind: str


class MisnamedFiles:
    """Looks into the files below a folder that are no pages by their names, up to a bound."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._left = MOST
        self._found: list[Misnamed] = []

    @property
    def found(self) -> tuple[Misnamed, ...]:
        """Those that were found, by name."""
        return tuple(sorted(self._found, key=lambda each: each.file))

    def look(self, folder: Path, names: Iterable[str]) -> None:
        """Look into files of one folder."""
        asked = sorted(name for name in names if why_no_page(name) in _LOOKED_INTO)
        asked = asked[: min(MOST_IN_FOLDER, self._left)]
        self._left -= len(asked)
        for name in asked:
            kind = page_kind(_beginning(folder / name))
            if kind:
                self._found.append(Misnamed(escaped(str((folder / name).relative_to(self._root))), kind))


def misnamed_below(root: Path) -> tuple[Misnamed, ...]:
    """Look through a folder for such files; hidden folders hold no pages."""
    files = MisnamedFiles(root)
    for folder, names in _walk(root):
        files.look(folder, names)
    return files.found


def misnamed(path: Path) -> str | None:
    """Return what one file is that has pages; None where it has none, or cannot be read."""
    return page_kind(_beginning(path))


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield Path(folder), names


def _beginning(path: Path) -> bytes:
    """Return the first bytes of a file; nothing of what is none (a pipe is not waited for), or cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.pread(file, READ, 0) if stat.S_ISREG(os.fstat(file).st_mode) else b""
    except OSError:
        return b""
    finally:
        os.close(file)
