"""What others say, put into sentences of ours: errors of libraries and of the system, and texts from outside.

    f"The file {path} cannot be read: {said(error)}."

Such texts may have several lines, steer a terminal, name objects by their address in memory, end with a full stop of
their own, or be of any length. They are cleaned here, and nowhere else.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from bec_orch.core.names import escaped

_LONGEST = 300
_OBJECT = re.compile(r"<(?:function |bound method )?(?:[\w.]*\.)?(\w+)(?: object)? at 0x[0-9a-fA-F]+>")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_ENDS = " .!?:;,"


def said(error: BaseException) -> str:
    """Return what an error says, to end a sentence with: see `clause`. One that says nothing is named by its class.

    Errors of the system say what is wrong, without number and path: the sentence has those that matter.
    """
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return clause(text) or type(error).__name__


def meant(name: str, known: Iterable[str]) -> str:
    """Return, to follow a name that is not known, the one that was probably meant; nothing where none is like it."""
    like = get_close_matches(name, list(known), n=1)
    return f" (did you mean '{like[0]}'?)" if like else ""


def counted(number: int, thing: str) -> str:
    """Say how many there are of something, in the singular or the plural."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def named(error: BaseException) -> str:
    """Return class and words of an error that nobody foresaw, to end a sentence with."""
    name, text = type(error).__name__, said(error)
    return name if text == name else f"{name}: {text}"


def clause(text: str) -> str:
    """Return the first line of a text without the full stop at its end, escaped, cut, without addresses in memory."""
    line = next((line for line in text.splitlines() if line.strip(_ENDS)), "")
    line = _ADDRESS.sub("0x…", _OBJECT.sub(r"a \1", " ".join(line.split())))
    line = escaped(line).strip(_ENDS)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
