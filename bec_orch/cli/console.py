"""What the commands print: tables that fit 100 columns, JSON, and errors as one line with a hint below it."""

import dataclasses
import datetime as dt
import json
import re
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bec_orch.cli import interrupts
from bec_orch.cli.surroundings import told
from bec_orch.core.names import escaped
from bec_orch.core.wording import named
from bec_orch.errors import BecError, DatabaseRefused, Interrupted, UsageError
from bec_orch.logging_setup import redacted, without_url_passwords

WIDTH = 100

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PAGE_ERRORS = 3
EXIT_DATABASE = 4
EXIT_RIGHTS = 5
EXIT_MISSING = 6
EXIT_INTERRUPTED = interrupts.EXIT_INTERRUPTED

# What waiting does not mend, by what somebody has to see to. All other refusals of the database are of the first kind.
_EXIT_BY_CODE = {
    "E_DISK_FULL": EXIT_FAILED,
    "E_DB_NEWER": EXIT_DATABASE,
    "E_DB_SCHEMA": EXIT_DATABASE,
    "E_AWS_CREDENTIALS": EXIT_RIGHTS,
    "E_AWS_DENIED": EXIT_RIGHTS,
    "E_QUEUE_CREDENTIALS": EXIT_RIGHTS,
    "E_QUEUE_DENIED": EXIT_RIGHTS,
    "E_SECRET_CREDENTIALS": EXIT_RIGHTS,
    "E_SECRET_DENIED": EXIT_RIGHTS,
    "E_STORAGE_CREDENTIALS": EXIT_RIGHTS,
    "E_STORAGE_DENIED": EXIT_RIGHTS,
    "E_QUEUE_MISSING": EXIT_MISSING,
    "E_QUEUE_NO_DLQ": EXIT_MISSING,
    "E_STORAGE_EMPTY": EXIT_MISSING,
    "E_STORAGE_MISSING": EXIT_MISSING,
    "E_STORAGE_REGION": EXIT_MISSING,
}


def console(*, stderr: bool = False) -> Console:
    """Give a console no wider than 100 columns, which takes every text as it is."""
    found = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    found.width = min(found.width, WIDTH) if found.is_terminal else WIDTH
    return found


def say(text: str = "") -> None:
    """Print a line of the result, unwrapped: paths and commands in it can be copied."""
    console().print(_printable(text), soft_wrap=True)


def note(text: str) -> None:
    """Print a line beside the result, to stderr."""
    console(stderr=True).print(_printable(redacted(text)), soft_wrap=True)


def warn(message: str, hint: str) -> None:
    """Print a warning and what to do about it, to stderr."""
    note(f"warning: {message}")
    note(f"hint: {hint}")


def print_json(value: Any) -> None:
    """Print a value as JSON: dataclasses as objects, times in ISO 8601."""
    text = without_url_passwords(json.dumps(value, default=_as_json, indent=2, ensure_ascii=False))
    # Names that are no UTF-8 are half surrogates, which JSON can write and UTF-8 cannot.
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
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for key, heading in columns.items():
        numbers = all(isinstance(row[key], int | float | None) for row in rows)
        table.add_column(heading, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(as_text(row[key])) for key in columns))
    console().print(table)


def print_record(record: Mapping[str, Any]) -> None:
    """Print one thing, a field a line."""
    console().print(record_table(record))


def record_table(record: Mapping[str, Any]) -> Table:
    """Lay one thing out, a field a line."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in record.items():
        table.add_row(Text(name.replace("_", " ")), Text(as_text(value)))
    return table


def print_error(error: BaseException, *, debug: bool) -> int:
    """Print an error as one line and its hint, with the traceback only when asked for; gives the exit code."""
    if debug:
        sys.stderr.write(redacted("".join(traceback.format_exception(error))))
    known = told(error)
    if known is None:
        note(f"error E_INTERNAL: {named(error)}")
        note("hint: This is a fault of the program. Run it again as `bec --debug ...` and report what it prints.")
        return EXIT_FAILED
    note(f"error {known.code}: {_one_line(known.message)}")
    if known.hint:
        note(f"hint: {_one_line(known.hint)}")
    return exit_code_of(known)


def exit_code_of(error: BecError) -> int:
    """Give the exit code that an error ends the program with."""
    if isinstance(error, Interrupted):
        return EXIT_INTERRUPTED
    if error.code in _EXIT_BY_CODE:
        return _EXIT_BY_CODE[error.code]
    if isinstance(error, DatabaseRefused):
        return EXIT_DATABASE
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED


def program() -> str:
    """Give what calls this program: `bec` where it is on the path, else what called it now, such as `.venv/bin/bec`."""
    called = sys.argv[0]
    return called if Path(called).name == "bec" and shutil.which("bec") is None else "bec"


def counted(number: int, thing: str) -> str:
    """Tell how many there are of something, in the singular or the plural."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def as_text(value: Any) -> str:
    """Give a value as people read it: local times to the second, rates with two places, nothing as a dash."""
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


def _one_line(text: str) -> str:
    return " ".join(text.split())
