"""The program `bec` from its first moment to its last: whatever signals come in between, it ends with one exit code.

This module imports next to nothing: a Ctrl-C that comes while the rest is imported is heard, too.
"""

import sys

from bec_orch.cli.process.words import EXIT_INTERRUPTED, code_if_interrupted

try:
    from bec_orch.cli.process import interrupts
    from bec_orch.cli.terminal import outlets
except KeyboardInterrupt:
    sys.exit(code_if_interrupted(sys.argv[1:]))


def main() -> None:
    """Run the command line of this process."""
    arguments = sys.argv[1:]
    interrupted = code_if_interrupted(arguments)
    try:
        interrupts.exit_at_once(interrupted)
        outlets.install()
        from bec_orch.cli.program import run  # noqa: PLC0415  (takes a second, and somebody has to listen meanwhile)

        interrupts.interrupt_once()
        interrupts.end_what_hangs(interrupted or 1)
        code = run(arguments)
        interrupts.leave(interrupted if code == EXIT_INTERRUPTED else code)
    except KeyboardInterrupt:
        interrupts.leave(interrupted)


if __name__ == "__main__":
    main()
