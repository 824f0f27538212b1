"""One spelling for text that was read: Unicode NFC, Tibetan stacks in the order in which they are written.

Nothing else is corrected; white space at the ends, repeated white space and control characters are left out.
"""

import re
import unicodedata

from bec_orch.jobs.shared.tibetan import in_order

_SPACES = re.compile(r"\s+")


def normalised(text: str) -> str:
    """Give a text in the one spelling of this module; doing it twice changes nothing."""
    return in_order(_SPACES.sub(" ", _without_controls(text))).strip()


def _without_controls(text: str) -> str:
    return "".join(char for char in text if char.isspace() or not _is_control(char))


def _is_control(char: str) -> bool:
    return unicodedata.category(char) == "Cc" or char == "\ufeff"
