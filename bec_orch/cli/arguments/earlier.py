"""Command lines of the earlier system, read as ours, so that its scripts and units go on to work.

A line is read here before it is parsed; one that has nothing of that system is handed on as it is, and no command knows
that there is anything else. What cannot mean the same here ends with `E_EARLIER_LINE` and the line to write instead.
"""

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bec_orch.cli.process.words import command_at
from bec_orch.core.job_types.registry import job_types, job_worker_class, type_of_name
from bec_orch.core.names import printable
from bec_orch.errors import UsageError
from bec_orch.settings.config import load_settings, variable

VARIABLES: Mapping[str, str] = {
    "BEC_SOURCE_S3_BUCKET": "The earlier system had it: set BEC_SOURCE_URL=s3://BUCKET.",
    "BEC_LD_BUCKET": "The earlier system had it: all artefacts are in one store here, BEC_DEST_S3_BUCKET.",
    "BEC_OCR_MODEL_DIR": "The earlier system had it: the model is named in the job's config, `bec jobs update`.",
    "BEC_OCR_BENCHMARK_S3_BUCKET": "The earlier system had it: name that source with --source folder+s3://BUCKET.",
    "BEC_APP_LOG_LEVEL": "The earlier system had it: set BEC_LOG_LEVEL.",
}
"""Environment variables of that system, and what is in their place."""

_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Reading:
    """A command line as this program has it: its words, settings that it gives, and what is to be told."""

    arguments: list[str]
    settings: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass
class _Line:
    """A line that is being read: the arguments in their places, all others, and why it cannot be, if it cannot."""

    places: dict[int, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    cannot: tuple[str, str] | None = None

    def words(self) -> list[str]:
        """Return the arguments, those with a place first; the first of all may stand without an option before it."""
        places, others = dict(self.places), list(self.others)
        if places and 0 not in places and others and not others[0].startswith("-"):
            places[0] = others.pop(0)
        return [places[place] for place in sorted(places)] + others

    def job(self) -> str:
        """Return the name of its job, for a line that is to be written instead."""
        word = next(iter(self.words()), "-")
        return "JOB" if word.startswith("-") else word

    def rest(self) -> str:
        """Return what else there is of a line that makes a job, with its type."""
        words = self.words()[1:]
        return shlex.join(words if "--type" in words or self.job() in job_types() else ["--type", "TYPE", *words])


@dataclass(frozen=True, slots=True)
class _Option:
    """An option of the earlier system, and what it makes of a line; `value` is empty where it takes none."""

    read: Callable[[_Line, str], None]
    takes_value: bool = True


@dataclass(frozen=True, slots=True)
class _Form:
    """A command of the earlier system.

    Attributes:
        words: what the command is called here, if it is called otherwise.
        options: its options that are none of ours, or have other values.
        end: what is to be done with the line when all of its words are read.
        numbered: whether its first argument may be a job's number: to look at one, or to change it.
    """

    options: Mapping[str, _Option] = field(default_factory=dict)
    words: tuple[str, ...] | None = None
    end: Callable[[_Line], None] | None = None
    numbered: str = ""


def _place(number: int) -> _Option:
    return _Option(lambda line, value: line.places.update({number: value}))


def _named(ours: str) -> _Option:
    return _Option(lambda line, value: line.others.extend((ours, value)))


def _flag(ours: str) -> _Option:
    return _Option(lambda line, _: line.others.append(ours), takes_value=False)


def _setting(name: str, form: str = "{}", note: str = "") -> _Option:
    def read(line: _Line, value: str) -> None:
        line.settings[name] = form.format(value)
        line.notes += [note] if note else []

    return _Option(read)


def _noted(note: str, *, takes_value: bool = True) -> _Option:
    return _Option(lambda line, _: line.notes.append(note), takes_value=takes_value)


def _refused(why: str, instead: str) -> Callable[[_Line], None]:
    def refuse(line: _Line) -> None:
        line.cannot = line.cannot or (why, instead)

    return refuse


def _cannot(why: str, instead: str) -> _Option:
    refuse = _refused(why, instead)
    return _Option(lambda line, _: refuse(line))


def _read_verbose(line: _Line, _: str) -> None:
    line.settings["log_level"] = "debug"


def _read_volume(line: _Line, value: str) -> None:
    line.others += ["--volume", _with_slash(value)]


def _read_source(line: _Line, value: str) -> None:
    if "+" in value:
        line.others += ["--source", value]
    elif value != "bdrc":
        line.cannot = (
            f"A source is named by its layout and place here, not {printable(value)}.",
            "bec run-volume {job} W_ID I_ID --source folder+s3://BUCKET/PREFIX",
        )


def _read_destination(line: _Line, bucket: str) -> None:
    line.settings |= {"dest_s3_bucket": bucket, "dest_url": f"s3://{bucket}"}


def _read_empty(line: _Line, value: str) -> None:
    if value != "0":
        line.others.append("--until-empty")
        line.notes.append("--shutdown-after-empty: the worker ends when its job has nothing left to do.")


def _with_slash(volume: str) -> str:
    return volume.replace(",", "/") if volume.count(",") == 1 and "/" not in volume else volume


def _end_create(line: _Line) -> None:
    """Name the type, and the job that it reads from, where the job's name tells them."""
    name = line.places.get(0)
    job_type = type_of_name(name) if name and "--type" not in line.others else None
    if name is None or job_type is None:
        return
    needed = _needed(name, job_worker_class(job_type).needs) if "--depends-on" not in line.others else None
    line.others[:0] = ([] if job_type == name else ["--type", job_type]) + (["--depends-on", needed] if needed else [])


def _needed(name: str, types: Sequence[str]) -> str | None:
    ends = (re.search(rf"[-_]({re.escape(needed)}(?:(?![-_]{re.escape(needed)}).)*)$", name) for needed in types)
    return next((found[1] for found in ends if found), None)


def _end_workers(line: _Line) -> None:
    if "--active" in line.others:
        line.others.remove("--active")
    else:
        line.others.append("--all")


def _end_show(line: _Line) -> None:
    line.others[:1] = [_with_slash(word) for word in line.others[:1]]


_VERBOSE = _Option(_read_verbose, takes_value=False)
_JOB = {"--job-name": _place(0)}
_FULL = {"--full": _noted("--full: messages are always whole here.", takes_value=False)}
_OF_TYPE = {"--type": _cannot("Errors have codes here, no types.", "bec jobs tasks JOB --code E_CODE")}
_OF_WORKER = {"--worker": _cannot("Tasks are not counted by their worker here.", "bec workers --job {job}")}
_QUEUES = _cannot(
    "The queues of a job have its name here; others are named by a setting that its workers need, too.",
    "BEC_SQS_QUEUE_URLS={job}=URL bec jobs create {job} {rest}",
)
_BY_QUEUE = _cannot(
    "Failed tasks are redriven by their job here, with their messages; queues are not named.",
    "bec queue redrive JOB --limit N",
)
_OF_ONE_WORKER = "What a worker did is told with its job here."

_COMMANDS: Mapping[tuple[str, ...], _Form] = {
    ("jobs", "create"): _Form(
        {
            "--name": _place(0),
            "--queue-url": _QUEUES,
            "--dlq-url": _QUEUES,
            "--region": _setting("region"),
        },
        end=_end_create,
    ),
    ("jobs", "show"): _Form(numbered="look"),
    ("jobs", "stats"): _Form(_OF_WORKER, numbered="look"),
    ("jobs", "tasks"): _Form({"--status": _named("--state"), **_OF_WORKER}, numbered="look"),
    ("jobs", "update"): _Form(numbered="change"),
    ("jobs", "delete"): _Form(numbered="change"),
    ("queue", "enqueue"): _Form(
        {**_JOB, "--volume": _Option(_read_volume), "-n": _named("--limit"), "-f": _flag("--force")}
    ),
    ("queue", "stats"): _Form(_JOB),
    ("queue", "purge"): _Form(_JOB),
    ("queue", "redrive"): _Form(
        {
            "--source-queue-url": _BY_QUEUE,
            "--dest-queue-url": _BY_QUEUE,
            "--max-messages": _named("--limit"),
        }
    ),
    ("worker",): _Form(
        {
            "--job-name": _named("--job"),
            "--poll-wait": _setting("poll_seconds"),
            "--visibility-timeout": _setting(
                "lease_seconds", note="--visibility-timeout: the lease of a task is as long as its message is hidden."
            ),
            "--visibility-extend-every": _noted(
                "--visibility-extend-every: a lease is renewed four times while it lasts."
            ),
            "--visibility-max-total": _noted(
                "--visibility-max-total: a lease is renewed as long as pages are finished (BEC_STALL_SECONDS)."
            ),
            "--shutdown-after-empty": _Option(_read_empty),
            "--s3-source-bucket": _setting("source_url", form="s3://{}"),
            "--s3-dest-bucket": _Option(_read_destination),
            "--region": _setting("region"),
            "--model-path": _setting(
                "ld_model_path", note="--model-path: jobs whose config names a model go by their config."
            ),
        }
    ),
    ("run-volume",): _Form(
        {
            **_JOB,
            "--w": _place(1),
            "--i": _place(2),
            "--source": _Option(_read_source),
            "--i-version": _cannot(
                "A volume is done in the version that its source has now; no other can be asked for.",
                "bec run-volume {job} W_ID I_ID",
            ),
            "-f": _flag("--force"),
        }
    ),
    ("workers", "list"): _Form(
        {"--active": _flag("--active"), "-n": _named("--limit")}, words=("workers",), end=_end_workers
    ),
    ("workers", "show"): _Form(end=_refused(_OF_ONE_WORKER, "bec workers --all")),
    ("workers", "stats"): _Form(end=_refused(_OF_ONE_WORKER, "bec jobs stats JOB")),
    ("errors", "list"): _Form({**_OF_TYPE, **_FULL, "-n": _named("--limit")}, words=("errors",)),
    ("errors", "show"): _Form({**_OF_TYPE, **_FULL}, end=_end_show),
    ("errors", "recent"): _Form(
        {**_OF_TYPE, **_FULL},
        end=_refused("Failures are grouped here, the most common first.", "bec jobs tasks JOB --state terminal_failed"),
    ),
}


def read(arguments: list[str]) -> Reading:
    """Read a command line; one of ours is returned as it is.

    Raises:
        UsageError: it cannot mean here what it meant there; the hint is the line to write instead (E_EARLIER_LINE).
        BecError: a job is named by its number, and the database that knows it is away.
    """
    at = command_at(arguments)
    before = [word for word in arguments[:at] if word != "-v"]
    line = _Line(settings={"log_level": "debug"} if len(before) < at else {})
    words = _command(arguments[at:])
    form = _COMMANDS.get(words, _Form())
    _read_options(line, form, arguments[at + len(words) :])
    if form.end:
        form.end(line)
    if form.numbered:
        _name_job(line, words, before, look=form.numbered == "look")
    if line.cannot:
        why, instead = line.cannot
        written = instead.format(job=line.job(), rest=line.rest()).rstrip()
        raise UsageError(why, code="E_EARLIER_LINE", hint=f"Write `{written}`.")
    ours = [*before, *(form.words or words), *line.words()]
    if ours == list(arguments):
        return Reading(ours)
    given = (f"{variable(name)}={value}" for name, value in line.settings.items())
    told = f"A command line of the earlier system, read as: {shlex.join([*given, 'bec', *ours])}"
    return Reading(ours, line.settings, (told, *line.notes))


def _command(words: Sequence[str]) -> tuple[str, ...]:
    return next((tuple(words[:size]) for size in (2, 1) if tuple(words[:size]) in _COMMANDS), ())


def _read_options(line: _Line, form: _Form, words: Sequence[str]) -> None:
    left = list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        option = _VERBOSE if word == "-v" else form.options.get(name)
        if word == "--":
            line.others += [word, *left]
            return
        if option is None or (equals and not option.takes_value):
            line.others.append(word)
            continue
        if option.takes_value and not equals:
            if not left:
                raise UsageError(
                    f"The option {name} needs a value.", hint="docs/cli.md has the command lines of today."
                )
            value = left.pop(0)
        option.read(line, value)


def _name_job(line: _Line, words: tuple[str, ...], before: Sequence[str], *, look: bool) -> None:
    """Put a job's name in the place of its number. To change a job, it is named: numbers are not those of before."""
    number = next(iter(line.others), "")
    found = _job_of_number(number, before) if _NUMBER.fullmatch(number) else None
    if found is None:
        return
    line.others[0] = found
    if look:
        line.notes.append(
            f"Number {number} is the job {found} in this database; in the earlier system's it may be another."
        )
    else:
        why = f"Job {number} is {found} in this database, and may be another one in the earlier system's."
        line.cannot = (why, shlex.join(["bec", *words, *line.others]).replace("{", "{{").replace("}", "}}"))


def _job_of_number(number: str, before: Sequence[str]) -> str | None:
    """Return the name of the job with a number; None where there is none, or a job has the number for a name."""
    from bec_orch.cli.composition.database import open_database, records_in  # noqa: PLC0415  (few lines need a database for this)

    home = next((after for word, after in pairwise(before) if word == "--home"), None)
    with open_database(load_settings({"home": home}).settings) as database:
        jobs = records_in(database).jobs.every()
    if any(job.name == number for job in jobs):
        return None
    return next((job.name for job in jobs if job.id == int(number)), None)
