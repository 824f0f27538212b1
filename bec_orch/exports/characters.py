"""Characters that documents can hold: XML 1.0 (section 2.2) has no place for most control characters.

They are left out, and what was left out can be reported.
"""

import re

from bec_orch.core.transcripts import PageContent

_NO_CHARACTERS = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_BREAKS = re.compile("[\t\n\r\u0085\u2028\u2029]+")


def writable(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return _NO_CHARACTERS.sub("", text)


def line_text(text: str) -> str:
    """Return the text of one line as documents hold it: breaks in it become spaces, so that it stays one line."""
    return _BREAKS.sub(" ", writable(text))


def lost_characters(content: PageContent) -> tuple[str, ...]:
    """Return the characters of a page's text that no document gets, each once, written as `U+0001`."""
    found = {char for line in content.lines for char in _NO_CHARACTERS.findall(line.text or "")}
    return tuple(f"U+{ord(char):04X}" for char in sorted(found))
