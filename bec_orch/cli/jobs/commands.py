"""`bec jobs`: jobs, their configs, and how far they are."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from bec_orch.cli.arguments import completion
from bec_orch.cli.arguments.asking import confirm
from bec_orch.cli.arguments.invocation import invocation
from bec_orch.cli.arguments.options import (
    DEFAULT_ERROR_RATE,
    ConfigFile,
    ConfigText,
    ErrorRate,
    JobName,
    Json,
    Limit,
    Yes,
    parse_names,
    read_config,
)
from bec_orch.cli.composition.parts import open_parts
from bec_orch.cli.jobs import graph, stats
from bec_orch.cli.jobs.needs import parse_needs, told_needs
from bec_orch.cli.jobs.queues import create_job
from bec_orch.cli.terminal.console import print_json, print_record, print_rows, say
from bec_orch.core.job_types.registry import job_types, job_worker_class
from bec_orch.core.records.overview import Overview, TaskFilter, TaskView
from bec_orch.core.tasks import Job, TaskState
from bec_orch.core.volumes import of_several_sources
from bec_orch.core.wording import counted
from bec_orch.orch.job_admin import JobAdmin
from bec_orch.orch.overview.spelling import recorded_names

app = typer.Typer(help="Make, show and change jobs.")

Needs = Annotated[
    list[str] | None,
    typer.Option(
        "--depends-on",
        metavar="JOB[:WHAT][,JOB]",
        help="A job whose artefact this one reads; where that is missing: wait (default), fail or proceed. "
        "May be given again.",
    ),
]
MaxAttempts = Annotated[int, typer.Option(metavar="N", help="Charged attempts after which a task has failed.")]


@app.command(epilog="Example: bec jobs create ldv1-fine --type ldv1 --config-text '{\"line_pitch\": 32}'")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new job.", show_default=False)],
    *,
    job_type: Annotated[
        str | None,
        typer.Option(
            "--type",
            metavar="TYPE",
            help="Its job type (default: NAME).",
            show_default=False,
            autocompletion=completion.types,
        ),
    ] = None,
    config_file: ConfigFile = None,
    config_text: ConfigText = None,
    artifact_prefix: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of its artefacts in the destination (default: NAME), such as one that another system fills.",
            show_default=False,
        ),
    ] = None,
    needs: Needs = None,
    max_attempts: MaxAttempts = 5,
    max_page_error_rate: ErrorRate = DEFAULT_ERROR_RATE,
    as_json: Json = False,
) -> None:
    """Make a job, and its queues. Its config is checked against the schema of its type."""
    config = read_config(config_file, config_text) or {}
    needed = parse_needs(needs)

    def make(admin: JobAdmin) -> Job:
        return admin.create(
            name,
            job_type or name,
            config,
            artifact_prefix=artifact_prefix,
            depends_on=tuple(needed or ()),
            if_missing=needed,
            max_attempts=max_attempts,
            max_page_error_rate=max_page_error_rate,
        )

    with open_parts(invocation(ctx).settings, make_home=True) as parts:
        made = create_job(parts, name, make)
    _print(made, as_json=as_json)


@app.command("list", epilog="Example: bec jobs list")
def list_jobs(ctx: typer.Context, *, as_json: Json = False) -> None:
    """List the jobs."""
    with open_parts(invocation(ctx).settings) as parts:
        jobs = JobAdmin(parts.records.jobs).list()
    if as_json:
        print_json(jobs)
        return
    columns = {"name": "job", "type": "type", "depends_on": "needs", "config": "config"}
    rows = [{"name": job.name, "type": job.type, "depends_on": told_needs(job), "config": job.config} for job in jobs]
    print_rows(rows, columns, empty="There are no jobs yet: `bec jobs create ldv1` makes one.")


@app.command(epilog="Example: bec jobs show ldv1")
def show(ctx: typer.Context, name: JobName, *, as_json: Json = False) -> None:
    """Show a job with its config."""
    with open_parts(invocation(ctx).settings) as parts:
        job = JobAdmin(parts.records.jobs).show(name)
    _print(job, as_json=as_json)


@app.command(epilog="Example: bec jobs update ldv1 --max-page-error-rate 0.1")
def update(
    ctx: typer.Context,
    name: JobName,
    *,
    config_file: ConfigFile = None,
    config_text: ConfigText = None,
    needs: Needs = None,
    max_attempts: MaxAttempts | None = None,
    max_page_error_rate: ErrorRate | None = None,
    as_json: Json = False,
) -> None:
    """Change a job. Of the config, only the keys that are given change; running tasks keep what they began with."""
    config = read_config(config_file, config_text)
    needed = parse_needs(needs)
    with open_parts(invocation(ctx).settings) as parts:
        job = JobAdmin(parts.records.jobs).update(
            name,
            config=config,
            depends_on=None if needed is None else tuple(needed),
            if_missing=needed,
            max_attempts=max_attempts,
            max_page_error_rate=max_page_error_rate,
        )
    _print(job, as_json=as_json)


@app.command(epilog="Example: bec jobs delete ldv1-fine")
def delete(ctx: typer.Context, name: JobName, *, yes: Yes = False, as_json: Json = False) -> None:
    """Delete a job: its unfinished tasks are canceled, which it asks about; artefacts and history stay."""
    with open_parts(invocation(ctx).settings) as parts:
        unfinished = 0 if yes else _unfinished(parts.records.overview, name)
        if unfinished:
            confirm(f"This would cancel {counted(unfinished, 'unfinished task')} of the job {name}.")
        deleted = JobAdmin(parts.records.jobs).delete(name)
        left = parts.queues.admin(name).left_over()
    if as_json:
        print_json(deleted)
    else:
        were = "was" if deleted.canceled == 1 else "were"
        say(f"The job {deleted.name} is deleted; {counted(deleted.canceled, 'unfinished task')} {were} canceled.")
    if left:
        say(left)


app.command("stats", epilog="Example: bec jobs stats ldv1 --watch")(stats.command)
app.command("graph", epilog="Example: bec jobs graph")(graph.graph)
app.command("stale", epilog="Example: bec jobs stale ldv1 --limit 10")(graph.stale)


@app.command(epilog="Example: bec jobs tasks ldv1 --state terminal_failed")
def tasks(
    ctx: typer.Context,
    name: JobName,
    *,
    state: Annotated[TaskState | None, typer.Option(help="Only tasks in this state.", show_default=False)] = None,
    code: Annotated[str | None, typer.Option(metavar="E_CODE", help="Only failures with this code.")] = None,
    fingerprint: Annotated[str | None, typer.Option(metavar="HEX", help="Only failures of this group.")] = None,
    volume: Annotated[str | None, typer.Option(metavar="W_ID/I_ID", help="Only tasks of this volume.")] = None,
    limit: Limit = 50,
    as_json: Json = False,
) -> None:
    """List tasks of a job, the last changed first."""
    names = parse_names(volume) if volume else None
    with open_parts(invocation(ctx).settings) as parts:
        w_id, i_id = recorded_names(parts.records.overview, *names) if names else (None, None)
        wanted = TaskFilter(state, code, fingerprint, w_id, i_id)
        found = parts.records.overview.tasks(name, wanted, limit=limit)
    if as_json:
        print_json(found)
        return
    columns = {"task": "task", "volume": "volume", "state": "state", "attempt": "try", "pages": "pages"}
    columns |= {"errors": "errors", "why": "why"}
    columns |= {"source": "source"} if of_several_sources(task.volume for task in found) else {}
    print_rows([_task_row(task) for task in found], columns, empty="There are no such tasks.")


@app.command(epilog="Example: bec jobs types --schema ldv1")
def types(
    *,
    schema: Annotated[
        str | None,
        typer.Option(
            metavar="TYPE",
            help="Print the JSON schema of this type's config.",
            show_default=False,
            autocompletion=completion.types,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the installed job types, or print the config schema of one."""
    if schema:
        print_json(job_worker_class(schema).config_type.model_json_schema())
        return
    rows = [{"type": name, "implemented_by": point.value} for name, point in job_types().items()]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, {"type": "type", "implemented_by": "implemented by"}, empty="No job type is installed.")


def _unfinished(overview: Overview, job: str) -> int:
    tasks = next((node.tasks for node in overview.jobs_with_tasks() if node.name == job), {})
    return sum(count for state, count in tasks.items() if not state.is_final)


def _task_row(task: TaskView) -> dict[str, Any]:
    failure = f"{task.failure_code}: {task.failure_message}" if task.failure_code else None
    pages = task.pages or task.failed_pages
    return {
        "task": task.id,
        "volume": str(task.volume),
        "state": task.state.value,
        "attempt": task.attempt,
        "pages": pages.total if pages else None,
        "errors": pages.error if pages else None,
        "why": failure or task.reason,
        "source": task.volume.source,
    }


def _print(job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(job)
    else:
        print_record(_record(job))


def _record(job: Job) -> Mapping[str, Any]:
    return {
        "job": job.name,
        "type": job.type,
        "artefacts in": job.root,
        "needs": told_needs(job),
        "max attempts": job.max_attempts,
        "max page error rate": job.max_page_error_rate,
        "config": json.dumps(dict(job.config), ensure_ascii=False),
        "config hash": job.config_hash,
        "created": job.created_at,
        "updated": job.updated_at,
    }
