"""`bec db`: the schema of the database."""

import typer

from bec_orch.cli.composition import open_database
from bec_orch.cli.console import print_json, print_record, say
from bec_orch.cli.invocation import invocation
from bec_orch.cli.options import Json
from bec_orch.io.postgres.migrate import migrate, renew_statistics, schema_status

app = typer.Typer(help="Make and check the tables of the database.")


@app.command(epilog="Example: bec db init")
def init(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Bring the database's schema up to this version of the program, and renew its statistics."""
    with open_database(invocation(ctx).settings) as database:
        applied = [f"{step.version:04} {step.name}" for step in migrate(database)]
        renew_statistics(database)
    if as_json:
        print_json({"applied": applied})
    else:
        say(f"Applied: {', '.join(applied)}." if applied else "The schema is up to date.")


@app.command(epilog="Example: bec db status --json")
def status(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Show the version of the database's schema and the one that this program needs; exit 1 if they differ."""
    settings = invocation(ctx).settings
    with open_database(settings) as database:
        found = schema_status(database)
    where = settings.sql_host or f"embedded, under {settings.home}"
    record = {"database": where, "schema": found.found, "needed": found.needed, "current": found.is_current}
    if as_json:
        print_json(record)
    else:
        print_record(record)
    if not found.is_current:
        raise typer.Exit(1)
