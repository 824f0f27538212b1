"""Asks before something is done that cannot be undone."""

import sys

import typer

from bec_orch.cli.process.ending import EXIT_FAILED
from bec_orch.cli.terminal.console import note
from bec_orch.errors import UsageError


def confirm(what: str, hint: str = "Add --yes to do it.") -> None:
    """Go on only if a person at the terminal says so.

    Args:
        what: what would be done, a sentence.
        hint: what to do where nobody can be asked.

    Raises:
        UsageError: nobody can be asked.
        typer.Exit: the answer is no; nothing was done (exit code 1).
    """
    if not sys.stdin.isatty():
        raise UsageError(f"{what} Nothing was done: nobody can be asked.".strip(), hint=hint)
    if not typer.confirm(f"{what} Do it?".strip(), err=True):
        note("Nothing was done.")
        raise typer.Exit(EXIT_FAILED)
