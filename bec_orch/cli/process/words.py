"""What the words of a command line say before it is read.

Imports nothing, and so is there at once: a signal may come while the rest is imported.
"""

EXIT_INTERRUPTED = 130

OPTIONS_WITH_VALUE = frozenset({"--home", "--log-format", "--log-level"})
"""Those that may stand before the command."""

_SERVE = frozenset({"serve", "view", "worker"})


def command_at(arguments: list[str]) -> int:
    """Return the place of the first word that is no option and no option's value; the number of words if none is."""
    place = 0
    while place < len(arguments) and arguments[place].startswith("-"):
        place += 2 if arguments[place] in OPTIONS_WITH_VALUE else 1
    return min(place, len(arguments))


def code_if_interrupted(arguments: list[str]) -> int:
    """Return the exit code of a command line that a signal ends: who serves until told to stop has done its duty."""
    return 0 if _SERVE.intersection(arguments[command_at(arguments) :][:1]) else EXIT_INTERRUPTED
