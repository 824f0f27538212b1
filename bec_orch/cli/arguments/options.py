"""Options and arguments that several commands have."""

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from bec_orch.cli.arguments import completion
from bec_orch.cli.arguments.paths import parse_path, parse_source_name
from bec_orch.core.wording import said
from bec_orch.errors import ConfigError
from bec_orch.orch.backlog.volume_lists import parse_volume

AdoptForeign = Annotated[
    bool, typer.Option("--adopt-foreign", help="Take artefacts that others left there, if they are what is wanted.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
JobName = Annotated[
    str,
    typer.Argument(metavar="JOB", help="Name of the job.", show_default=False, autocompletion=completion.jobs),
]
OnlyJob = Annotated[
    str | None, typer.Option("--job", metavar="JOB", help="Only for this job.", autocompletion=completion.jobs)
]
OnlySource = Annotated[
    str | None,
    typer.Option(
        "--source",
        parser=parse_source_name,
        metavar="SOURCE",
        help="The volumes of this source alone, where others have some of that name.",
    ),
]
VolumesSource = Annotated[
    str | None,
    typer.Option(
        "--source",
        parser=parse_source_name,
        metavar="LAYOUT+URL",
        help="Source of the volumes (default: BEC_SOURCE_URL).",
    ),
]
Partial = Annotated[bool, typer.Option("--partial", help="Take what attempts left of volumes that are not done, too.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, and stop there.")]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        parser=parse_path,
        metavar="FILE",
        help="File with the job's config, a JSON object.",
        show_default=False,
    ),
]
ConfigText = Annotated[
    str | None,
    typer.Option("--config-text", metavar="JSON", help="The job's config itself, as JSON.", show_default=False),
]
DEFAULT_ERROR_RATE = 0.05
ErrorRate = Annotated[
    float,
    typer.Option("--max-page-error-rate", metavar="RATE", help="Share of a volume's pages that may be errors, 0 to 1."),
]
_LIKE = 'Write it like {"key": "value"}.'
Limit = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Show at most this many.")]


def read_config(file: Path | None, text: str | None) -> dict[str, Any] | None:
    """Read a job's config from a file or from the command line; None when neither was given.

    Raises:
        ConfigError: both were given, the file cannot be read, or it is not a JSON object.
    """
    if file and text:
        raise ConfigError("--config and --config-text were both given.", hint="Give one of them.")
    if file:
        text = _content(file)
    return None if text is None else _json_object(text, f"'{file}'" if file else "--config-text")


def parse_names(volume: str) -> tuple[str, str]:
    """Split `W_ID/I_ID`.

    Raises:
        UsageError: it is not of this form, or a name could leave its folder or prefix (E_NAME_UNSAFE).
    """
    named = parse_volume(volume, "")
    return named.w_id, named.i_id


def _content(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = said(error) if isinstance(error, OSError) else "it is not UTF-8"
        raise ConfigError(f"The config file '{file}' cannot be read: {reason}.", hint="Give a JSON file.") from error


def _json_object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else said(error)
        raise ConfigError(f"The config in {where} is not JSON: {why}.", code="E_JOB_CONFIG", hint=_LIKE) from error
    if not isinstance(value, dict):
        raise ConfigError(f"The config in {where} is not a JSON object.", code="E_JOB_CONFIG", hint=_LIKE)
    return value


def _refuse_constant(name: str) -> NoReturn:
    # Python reads NaN and Infinity, which no database takes for JSON.
    raise ValueError(f"{name} is no number")
