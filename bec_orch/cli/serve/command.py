"""`bec serve`: the dashboard and the viewer on a port of this machine."""

from typing import Annotated

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.serve.server import HOST, PORT, listening, run
from bec_orch.cli.terminal.console import note, say

Host = Annotated[str, typer.Option("--host", metavar="ADDRESS", help="Address to listen at; others need a token.")]
Port = Annotated[int, typer.Option("--port", metavar="N", min=0, max=65_535, help="Port; 0: any that is free.")]


def command(ctx: typer.Context, *, host: Host = HOST, port: Port = PORT) -> None:
    """Serve the dashboard, the viewer and IIIF until Ctrl-C; nothing can be changed there.

    At an address that other machines reach, whoever asks needs a token: that of BEC_WEB_TOKEN, else one that is made up
    and printed.
    """
    settings = invocation(ctx).settings
    with open_parts(settings) as parts, listening(settings, host, port) as found:
        say(f"Serving {settings.home if settings.sql_host is None else settings.sql_host} at {found.url()}")
        if found.door.token and not found.made_up:
            note("Whoever asks needs the token of BEC_WEB_TOKEN: open the address with ?token=... once.")
        note("Ctrl-C ends it.")
        run(parts, found)
