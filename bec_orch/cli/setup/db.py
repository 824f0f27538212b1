"""`bec db`: the schema of the database."""

from typing import Annotated
from uuid import UUID

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import Json
from bec_orch.cli.composition.database import open_database
from bec_orch.cli.setup import moving_in
from bec_orch.cli.terminal.console import print_json, print_record, say
from bec_orch.io.postgres.identity import identity_of, note_identity, take_identity
from bec_orch.io.postgres.migrate import migrate, renew_statistics, schema_status
from bec_orch.io.workspace import IDENTITY_FILE

app = typer.Typer(help="Make and check the tables of the database.")


@app.command(epilog="Example: bec db init")
def init(
    ctx: typer.Context,
    *,
    identity: Annotated[
        UUID | None,
        typer.Option(metavar="UUID", help="Go on for a database that was lost, by the identity in its artefacts."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Bring the database's schema up to this version of the program, and renew its statistics."""
    settings = invocation(ctx).settings
    with open_database(settings, make_home=True) as database:
        applied = [f"{step.version:04} {step.name}" for step in migrate(database)]
        renew_statistics(database)
        if identity:
            take_identity(database, identity)
            if settings.sql_host is None:
                note_identity(database, settings.home / IDENTITY_FILE)
        own = identity_of(database)
    if as_json:
        print_json({"applied": applied, "identity": own})
    else:
        say(f"Applied: {', '.join(applied)}." if applied else "The schema is up to date.")
        say(f"Identity: {own}")


@app.command(epilog="Example: bec db status --json")
def status(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Show the database's identity, its schema's version and the one that this program needs; exit 1 if they differ."""
    settings = invocation(ctx).settings
    with open_database(settings) as database:
        found = schema_status(database)
        own = identity_of(database) if found.is_current else None
    where = settings.sql_host or f"embedded, under {settings.home}"
    schema = {"schema": found.found, "needed": found.needed, "current": found.is_current}
    record = {"database": where, "identity": own, **schema}
    if as_json:
        print_json(record)
    else:
        print_record(record)
    if not found.is_current:
        raise typer.Exit(1)


app.command("import", epilog="Example: bec db import --from 'host=db.example.org dbname=pipeline_v1' --dry-run")(
    moving_in.command
)
