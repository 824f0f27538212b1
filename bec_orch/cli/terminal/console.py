"""What the commands print: tables that fit the terminal, JSON, and lines beside them."""

import dataclasses
import datetime as dt
import json
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from bec_orch.core.by_name import json_told_apart, told_apart
from bec_orch.core.names import escaped
from bec_orch.settings.logging_setup import redacted, without_url_passwords

WIDTH = 100
# Between two columns of a table: the padding of each, and the line between them.
_GAP = "   "
# To so many characters texts are folded before numbers are.
_LEAST = 4


class _BoundedConsole(Console):
    """As wide as its terminal, whenever it is asked, but no wider than 100 columns; 100 where there is no terminal."""

    @property
    @override
    def size(self) -> ConsoleDimensions:
        found = super().size
        return ConsoleDimensions(min(found.width, WIDTH) if self.is_terminal else WIDTH, found.height)

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size


def console(*, stderr: bool = False) -> Console:
    """Return a console no wider than 100 columns, which takes every text as it is."""
    return _BoundedConsole(stderr=stderr, markup=False, highlight=False, emoji=False)


def say(text: str = "") -> None:
    """Print a line of the result, unwrapped: paths and commands in it can be copied."""
    console().print(_printable(text), soft_wrap=True)


def note(text: str) -> None:
    """Print a line beside the result, to stderr."""
    console(stderr=True).print(_printable(redacted(text)), soft_wrap=True)


def warn(message: str, hint: str) -> None:
    """Print a warning and what to do about it, if anything is, to stderr."""
    note(f"warning: {message}")
    if hint:
        note(f"hint: {hint}")


def print_json(value: Any) -> None:
    """Print a value as JSON: dataclasses as objects, times in ISO 8601."""
    written = json.dumps(value, default=_as_json, indent=2, ensure_ascii=False)
    text = without_url_passwords(json_told_apart(written))
    # Names that are not UTF-8 are half surrogates, which JSON can write and UTF-8 cannot.
    sys.stdout.write(re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", text) + "\n")


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str], *, empty: str) -> None:
    """Print rows as a table.

    Args:
        rows: the rows, by key.
        columns: the heading of each key that is shown, in order.
        empty: the sentence to print when there are no rows.
    """
    if not rows:
        say(empty)
        return
    cells = _told_apart([[as_text(row[key]) for key in columns] for row in rows])
    out = console()
    numbers = [all(isinstance(row[key], int | float | None) for row in rows) for key in columns]
    widths = _widths([list(column) for column in zip(columns.values(), *cells, strict=True)], numbers, out.width)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading, is_number, width in zip(columns.values(), numbers, widths, strict=True):
        table.add_column(heading, justify="right" if is_number else "left", overflow="fold", width=width)
    for row in cells:
        table.add_row(*map(Text, row))
    out.print(table)


def _told_apart(cells: list[list[str]]) -> list[list[str]]:
    """Write the spelling behind names that look like another one in their column."""
    alike = [told_apart(column) for column in zip(*cells, strict=True)]
    return [[names.get(cell, cell) for names, cell in zip(alike, row, strict=True)] for row in cells]


def _widths(columns: Sequence[Sequence[str]], numbers: Sequence[bool], available: int) -> list[int]:
    """Share the width among the columns so that lines break between words, as long as the longest words fit at all.

    `numbers` says which columns have numbers: these are folded last, as a number in two pieces is read as another.
    """
    room = available - len(_GAP) * (len(columns) - 1)
    wanted = [max(cell_len(line) for cell in column for line in (cell.split("\n") or [""])) for column in columns]
    words = [max((cell_len(word) for cell in column for word in cell.split()), default=1) for column in columns]
    while sum(words) > max(room, len(words)):
        # Not even the words fit: those of the column with the longest one are folded.
        texts = [at for at, is_number in enumerate(numbers) if not is_number and words[at] > _LEAST]
        words[max(texts or range(len(words)), key=words.__getitem__)] -= 1
    left = room - sum(words)
    for at, column in enumerate(sorted(range(len(words)), key=lambda column: wanted[column] - words[column])):
        more = min(wanted[column] - words[column], left // (len(words) - at))
        words[column] += more
        left -= more
    return words


def print_record(record: Mapping[str, Any]) -> None:
    """Print one thing, a field a line."""
    console().print(record_table(record))


def record_table(record: Mapping[str, Any]) -> Table:
    """Lay one thing out, a field a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in record.items():
        table.add_row(Text(name), Text(as_text(value)))
    return table


def program() -> str:
    """Return the word that starts this program: `bec` if that is on the path, else what was called: `.venv/bin/bec`."""
    called = sys.argv[0]
    return called if Path(called).name == "bec" and shutil.which("bec") is None else "bec"


def as_text(value: Any) -> str:
    """Return a value as people read it: local times to the second, rates with two places, nothing as a dash."""
    match value:
        case None | "":
            text = "-"
        case dt.datetime():
            text = value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
        case bool():
            text = "yes" if value else "no"
        case float():
            text = f"{value:,.2f}"
        case int():
            text = f"{value:,}"
        case dict() | list() | tuple():
            text = json.dumps(value, default=_as_json, ensure_ascii=False)
        case _:
            text = str(value)
    return _printable(text)


def _as_json(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, dt.datetime):
        return value.isoformat()
    if isinstance(value, Path | UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _printable(text: str) -> str:
    """Mask passwords of URLs, and escape what could steer the terminal: names come from outside."""
    shown = without_url_passwords(text)
    return "\n".join(escaped(line) for line in shown.split("\n"))
