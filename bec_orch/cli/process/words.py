"""Which word of a command line names its command. Imports nothing: a signal may come while the rest is imported."""

from collections.abc import Sequence

OPTIONS_WITH_VALUE = frozenset({"--home", "--log-format", "--log-level"})
"""Those that may stand before the command."""


def command_at(arguments: Sequence[str]) -> int:
    """Return the place of the first word that is no option and no option's value; the number of words if none is."""
    place = 0
    while place < len(arguments) and arguments[place].startswith("-"):
        place += 2 if arguments[place] in OPTIONS_WITH_VALUE else 1
    return min(place, len(arguments))
