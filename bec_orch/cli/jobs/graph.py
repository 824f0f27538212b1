"""`bec jobs graph` and `bec jobs stale`: which job needs which, and what would not come out the same today."""

import typer

from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import JobName, Json, Limit
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.jobs.needs import told_needs
from bec_orch.cli.terminal.console import print_json, print_rows
from bec_orch.core.tasks import TaskState
from bec_orch.core.volumes import of_several_sources
from bec_orch.orch.overview.references import References
from bec_orch.orch.overview.standing import graph as graph_of


def graph(ctx: typer.Context, *, as_json: Json = False) -> None:
    """Show the jobs, each after those that it needs, and their tasks by state."""
    with open_parts(invocation(ctx).settings) as parts:
        found = graph_of(parts.records.overview)
    if as_json:
        print_json(found)
        return
    states = [state for state in TaskState if any(node.tasks.get(state) for node in found)]
    columns = {"job": "job", "type": "type", "needs": "needs"} | {state.value: state.value for state in states}
    rows = [
        {"job": node.name, "type": node.type, "needs": told_needs(node)}
        | {state.value: node.tasks.get(state, 0) for state in states}
        for node in found
    ]
    print_rows(rows, columns, empty="There are no jobs yet: `bec jobs create ldv1` makes one.")


def stale(ctx: typer.Context, name: JobName, *, limit: Limit = 50, as_json: Json = False) -> None:
    """List the volumes of a job that are done, but would not come out the same today, and what changed since."""
    with open_parts(invocation(ctx).settings) as parts:
        References(parts.records.overview, parts.stores.open).look(name)
        found = parts.records.overview.stale(name, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        {
            "volume": str(one.volume),
            "task": one.task_id,
            "changed": ", ".join(one.reasons),
            "source": one.volume.source,
        }
        for one in found
    ]
    columns = {"volume": "volume", "task": "task", "changed": "changed since"}
    columns |= {"source": "source"} if of_several_sources(one.volume for one in found) else {}
    print_rows(rows, columns, empty=f"Nothing of {name} is stale.")
