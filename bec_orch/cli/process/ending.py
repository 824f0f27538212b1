"""How a command ends: its exit code, and an error as one line with a hint below it."""

import sys
import traceback

from bec_orch.cli.process.surroundings import known_error
from bec_orch.cli.process.words import EXIT_INTERRUPTED
from bec_orch.cli.terminal.console import note
from bec_orch.core.wording import named
from bec_orch.errors import BecError, DatabaseRefused, Interrupted, UsageError
from bec_orch.settings.logging_setup import redacted

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_PAGE_ERRORS = 3
EXIT_DATABASE = 4
EXIT_RIGHTS = 5
EXIT_MISSING = 6

# What waiting does not cure, by what somebody has to see to. All other refusals of the database are of the first kind.
_EXIT_BY_CODE = {
    "E_DISK_FULL": EXIT_FAILED,
    "E_DB_EARLIER": EXIT_DATABASE,
    "E_DB_NEWER": EXIT_DATABASE,
    "E_DB_SCHEMA": EXIT_DATABASE,
    "E_DB_TAKEN": EXIT_DATABASE,
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


def print_error(error: BaseException, *, debug: bool) -> int:
    """Print an error as one line and its hint, with its traceback only when asked for, and return the exit code."""
    if debug:
        sys.stderr.write(redacted("".join(traceback.format_exception(error))))
    known = known_error(error)
    if known is None:
        note(f"error E_INTERNAL: {named(error)}")
        note("hint: This is a fault of the program. Run it again as `bec --debug ...` and report what it prints.")
        return EXIT_FAILED
    note(f"error {known.code}: {_one_line(known.message)}")
    if known.hint:
        note(f"hint: {_one_line(known.hint)}")
    return exit_code_of(known)


def exit_code_of(error: BecError) -> int:
    """Return the exit code that an error ends the program with."""
    if isinstance(error, Interrupted):
        return EXIT_INTERRUPTED
    if error.code in _EXIT_BY_CODE:
        return _EXIT_BY_CODE[error.code]
    if isinstance(error, DatabaseRefused):
        return EXIT_DATABASE
    return EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED


def _one_line(text: str) -> str:
    return " ".join(text.split())
