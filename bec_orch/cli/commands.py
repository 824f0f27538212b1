"""The commands of `bec`. Each is imported when it is asked for: most need a second for what `--version` never uses."""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typing_extensions import override

from bec_orch.cli.process.surroundings import (
    ADDRESS_SPACE_OF_JOBS,
    LEAST_ADDRESS_SPACE,
    require_address_space,
    require_threads,
)

Command = TyperCommand | TyperGroup


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a command is: a module of this package with `command`, or with `app` where it is a group of commands.

    `works`: whether a job runs in it, which takes more of the machine.
    """

    module: str
    example: str | None = None
    works: bool = False


_SCANS = "~/scans --out ~/lines"
_PLACES = {
    "demo": _Place("run.demo", "bec demo --out /tmp/demo", works=True),
    "run": _Place("run.path", f"bec run ldv1 {_SCANS}\n\nExample: bec run ocrv1 {_SCANS}", works=True),
    "run-volume": _Place("run.volume", "bec run-volume ldv1 W22084 I0886", works=True),
    "jobs": _Place("jobs.commands"),
    "queue": _Place("queue.commands"),
    "eval": _Place("evaluation.report"),
    "export": _Place("export.command", "bec export ocrv1 --format txt,alto --out ~/texts", works=True),
    "import": _Place("imports.command", "bec import corrected --format alto --from ~/texts", works=True),
    "worker": _Place("worker.command", "bec worker --job ldv1 --slots 2", works=True),
    "workers": _Place("worker.listing", "bec workers --job ldv1"),
    "errors": _Place("jobs.errors"),
    "pages": _Place("jobs.pages", "bec pages W22084/I0886 --job ocrv1"),
    "show": _Place("jobs.show", "bec show W22084/I0886 12 --job ocrv1"),
    "serve": _Place("serve.command", "bec serve --port 8080"),
    "view": _Place("serve.view", "bec view ~/scans\n\nExample: bec view W22084/I0886"),
    "audit": _Place("checks.audit", "bec audit ldv1 --deep"),
    "scale": _Place("scale.commands"),
    "db": _Place("setup.db"),
    "config": _Place("setup.config"),
    "doctor": _Place("checks.doctor", "bec doctor"),
}


class HelpfulGroup(TyperGroup):
    """A group of commands that prints its help when none of them is named."""

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args or self.invoke_without_command else ["--help"])


class Commands(HelpfulGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = cast("MutableMapping[str, Any]", _ByName())

    @override
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command that was chosen, and see that this process has the room that a job takes, if one runs in it.

        Raises:
            ConfigError: the limits of the shell are too low.
        """
        place = _PLACES.get(args[0]) if args else None
        if place and place.works:
            require_address_space(ADDRESS_SPACE_OF_JOBS)
        return super().resolve_command(ctx, args)


class _ByName(Mapping[str, Command]):
    def __getitem__(self, name: str) -> Command:
        return _command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


@cache
def _require_room() -> None:
    require_address_space(LEAST_ADDRESS_SPACE)
    require_threads()


@cache
def _command(name: str) -> Command:
    place = _PLACES[name]
    _require_room()
    module = import_module(f"bec_orch.cli.{place.module}")
    holder = typer.Typer()
    if place.example is None:
        holder.add_typer(module.app, name=name, cls=HelpfulGroup)
    else:
        holder.command(name, epilog=f"Example: {place.example}")(module.command)
    return cast("Command", typer.main.get_group(holder).commands[name])
