"""`bec config`: which settings hold, and where each came from."""

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import Json
from bec_orch.cli.terminal.console import print_json, print_rows

app = typer.Typer(help="Show the settings.")


@app.command(epilog="Example: bec config show --json")
def show(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Show every setting, its value, and where it came from: flag, environment, .env or default."""
    rows = invocation(ctx).loaded.shown()
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, {"name": "setting", "value": "value", "origin": "from"}, empty="")
