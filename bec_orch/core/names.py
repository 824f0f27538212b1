"""Which names from outside are safe to become part of a key, a path or a file name."""

import unicodedata

from bec_orch.errors import NameUnsafeError

# The longest file name of the file systems that matter is 255 bytes; keys append up to ~40 characters to a name.
MAX_NAME_BYTES = 200


def check_name(kind: str, name: str, *, max_bytes: int = MAX_NAME_BYTES) -> str:
    """Return the name if it is one safe path segment, whatever its script.

    Args:
        kind: what the name names, for the message: `work`, `volume`, `page`, `job`.
        name: the name from outside.
        max_bytes: the longest UTF-8 form that is taken.

    Raises:
        NameUnsafeError: the name is empty, `.` or `..`, too long, not UTF-8, or holds a slash, a backslash or a control
            character.
    """
    fault = _fault_of(name, max_bytes)
    if fault:
        raise NameUnsafeError(f"The {kind} name {printable(name)} {fault}.", hint="Rename it, or leave it out.")
    return name


def _fault_of(name: str, max_bytes: int) -> str:
    if not name or name != name.strip():
        return "is empty, or begins or ends with white space"
    if name in {".", ".."} or "/" in name or "\\" in name:
        return "would leave its folder"
    if not is_utf8(name):
        return "is not UTF-8"
    if not is_plain(name):
        return "holds a control character"
    if len(name.encode()) > max_bytes:
        return f"is longer than {max_bytes} bytes"
    return ""


def is_utf8(text: str) -> bool:
    """Return whether a text can be written as UTF-8: names of files and arguments of programs may be other bytes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_plain(text: str) -> bool:
    """Return whether a text holds no control characters, ends of lines, or halves of surrogates."""
    return all(unicodedata.category(c) not in {"Cc", "Cs", "Zl", "Zp"} for c in text)


def escaped(name: str) -> str:
    r"""Write a hostile name so that it shows what it is.

    Characters that control a terminal or turn text are escaped, and bytes that are not UTF-8 are shown as such: `\xe9`.
    """
    return "".join(c if c.isprintable() else _shown(c) for c in name)


def _shown(c: str) -> str:
    # What Python makes of a byte that is not UTF-8 (PEP 383).
    return f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c.encode("unicode_escape").decode()


def printable(name: str, limit: int = 80) -> str:
    """Quote a hostile name for a message: escaped, and cut to `limit` characters."""
    return f"'{escaped(name if len(name) <= limit else name[: limit - 1] + '…')}'"
