"""What a shell completes: the names of jobs, of job types and of formats. It never makes anything, and never fails."""

import logging

import typer

from bec_orch.cli.composition.database import open_database, records_in
from bec_orch.core.job_types.registry import job_types
from bec_orch.errors import BecError
from bec_orch.exports.formats import NAMES
from bec_orch.settings.config import load_settings


def types(incomplete: str) -> list[str]:
    """Return the installed job types that begin so."""
    return [name for name in job_types() if name.startswith(incomplete)]


def formats(incomplete: str) -> list[str]:
    """Return the formats of documents that go on a list, which commas separate."""
    given, comma, begun = incomplete.rpartition(",")
    taken = given.split(",")
    return [f"{given}{comma}{name}" for name in NAMES if name.startswith(begun) and name not in taken]


def jobs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the jobs that begin so, of the database that the settings name; none where it is out of reach."""
    # A shell shows what is printed meanwhile in the middle of the line that is being typed.
    logging.disable()
    try:
        with open_database(load_settings({"home": ctx.find_root().params.get("home")}).settings) as database:
            return [job.name for job in records_in(database).jobs.every() if job.name.startswith(incomplete)]
    except BecError:
        return []
