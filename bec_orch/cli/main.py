"""The program `bec` from its first moment to its last: whatever signals come in between, it ends with one exit code.

This module imports next to nothing: a Ctrl-C that comes while the rest is imported is heard, too.
"""

import sys
from collections.abc import Sequence

try:
    from bec_orch.cli.process import interrupts
    from bec_orch.cli.process.words import command_at
    from bec_orch.cli.terminal import outlets
except KeyboardInterrupt:
    sys.exit(130)

_SERVE = frozenset({"serve", "view", "worker"})


def main() -> None:
    """Run the command line of this process."""
    arguments = sys.argv[1:]
    interrupted = code_if_interrupted(arguments)
    interrupts.exit_at_once(interrupted)
    outlets.install()
    from bec_orch.cli.program import run  # noqa: PLC0415  (takes a second, and somebody has to listen meanwhile)

    interrupts.interrupt_once()
    interrupts.end_what_hangs(interrupted or 1)
    try:
        code = run(arguments)
        interrupts.leave(interrupted if code == interrupts.EXIT_INTERRUPTED else code)
    except KeyboardInterrupt:
        interrupts.leave(interrupted)


def code_if_interrupted(arguments: Sequence[str]) -> int:
    """Return the exit code of a command line that a signal ends: who serves until told to stop has done its duty."""
    return 0 if _SERVE.intersection(arguments[command_at(arguments) :][:1]) else interrupts.EXIT_INTERRUPTED


if __name__ == "__main__":
    main()
