"""The command line: its global options, its commands, and the one place where errors become words and exit codes."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from bec_orch import __version__
from bec_orch.cli.arguments import earlier
from bec_orch.cli.arguments.invocation import Invocation, invocation
from bec_orch.cli.arguments.paths import parse_path
from bec_orch.cli.commands import Commands
from bec_orch.cli.process.ending import EXIT_DONE, print_error
from bec_orch.cli.process.words import EXIT_INTERRUPTED
from bec_orch.cli.terminal.console import note, say
from bec_orch.errors import UsageError

app = typer.Typer(
    name="bec",
    cls=Commands,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: bec demo",
)


def _print_version(asked: bool) -> None:  # noqa: FBT001  (typer hands a callback its value by position)
    if asked:
        say(f"bec-orch {__version__}")
        raise typer.Exit


@app.callback()
def options(
    ctx: typer.Context,
    *,
    home: Annotated[
        Path | None,
        typer.Option(
            "--home",
            parser=parse_path,
            metavar="DIR",
            help="Folder of local mode instead of BEC_HOME.",
            show_default=False,
        ),
    ] = None,
    log_format: Annotated[
        str | None, typer.Option(metavar="FORMAT", help="auto, json or text.", show_default=False)
    ] = None,
    log_level: Annotated[
        str | None, typer.Option(metavar="LEVEL", help="debug, info, warning or error.", show_default=False)
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[  # noqa: ARG001  (its callback has printed and ended by now)
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Run page jobs (text lines, OCR) over scanned volumes, and account for every page."""
    asked = invocation(ctx)
    asked.debug = debug
    given = {"home": home, "log_format": log_format, "log_level": log_level}
    asked.flags = {**asked.flags, **{name: value for name, value in given.items() if value is not None}}


def run(arguments: Sequence[str]) -> int:
    """Run one command line, and return its exit code. Errors are printed, never raised."""
    asked = Invocation(debug="--debug" in arguments)
    try:
        reading = earlier.read(_debug_first(arguments))
        asked.flags = reading.settings
        for told in reading.notes:
            note(f"note: {told}")
        ended = typer.main.get_command(app).main(reading.arguments, prog_name="bec", standalone_mode=False, obj=asked)
        sys.stdout.flush()
    except TyperException as error:
        return print_error(_usage_error(error), debug=asked.debug)
    except KeyboardInterrupt:
        ended = EXIT_INTERRUPTED
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  (the boundary to the shell: panics of libraries in Rust, too)
        return print_error(error, debug=asked.debug)
    if ended == EXIT_INTERRUPTED:
        note("Interrupted. What was finished is kept; run the same command again.")
        return EXIT_INTERRUPTED
    return ended if isinstance(ended, int) else EXIT_DONE


def _usage_error(error: TyperException) -> UsageError:
    hint = "`bec --help` lists the commands, `bec COMMAND --help` the options of one."
    return UsageError(error.format_message().replace("Value error, ", ""), hint=hint)


def _debug_first(arguments: Sequence[str]) -> list[str]:
    """Move `--debug` to the front: it may stand anywhere, as whoever sees an error adds it at the end of the line."""
    others = [argument for argument in arguments if argument != "--debug"]
    return ["--debug", *others] if len(others) < len(arguments) else others
