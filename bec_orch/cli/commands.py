"""The commands of `bec`. Each is imported when it is asked for: most need a second for what `--version` never uses."""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperCommand, TyperGroup
from typing_extensions import override

from bec_orch.cli.surroundings import ADDRESS_SPACE_OF_JOBS, LEAST_ADDRESS_SPACE, require_address_space, require_threads

Command = TyperCommand | TyperGroup


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a command is: a module of this package with `command`, or with `app` where it is a group of commands.

    `works`: whether a job runs in it, which takes more of the machine.
    """

    module: str
    example: str | None = None
    works: bool = False


_PLACES = {
    "demo": _Place("run.demo", "bec demo --out /tmp/demo", works=True),
    "run": _Place("run.path", "bec run ldv1 ~/scans --out ~/lines", works=True),
    "run-volume": _Place("run.volume", "bec run-volume ldv1 W22084 I0886", works=True),
    "jobs": _Place("jobs.commands"),
    "queue": _Place("queue.commands"),
    "eval": _Place("evaluation"),
    "worker": _Place("worker.command", "bec worker --job ldv1 --slots 2", works=True),
    "workers": _Place("workers", "bec workers --job ldv1"),
    "errors": _Place("errors", "bec errors --job ldv1"),
    "audit": _Place("audit", "bec audit ldv1 --deep"),
    "scale": _Place("scale.commands"),
    "db": _Place("db"),
    "config": _Place("config"),
    "doctor": _Place("doctor", "bec doctor"),
}


class Commands(TyperGroup):
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
        holder.add_typer(module.app, name=name)
    else:
        holder.command(name, epilog=f"Example: {place.example}")(module.command)
    return cast("Command", typer.main.get_group(holder).commands[name])
