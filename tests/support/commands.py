"""Every command of the program, found by walking it."""

from collections.abc import Iterator
from dataclasses import dataclass

import typer
from typer.core import TyperCommand, TyperGroup

from bec_orch.cli.program import app


@dataclass(frozen=True)
class Command:
    """One command: the words that call it, its options, and those of them that take a path of this machine."""

    words: tuple[str, ...]
    options: frozenset[str]
    paths: frozenset[str]


def _walk(group: TyperGroup, words: tuple[str, ...]) -> Iterator[Command]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup) and command.invoke_without_command:
            yield _command(command, (*words, name))
        if isinstance(command, TyperGroup):
            yield from _walk(command, (*words, name))
        elif isinstance(command, TyperCommand):
            yield _command(command, (*words, name))


def _command(command: TyperGroup | TyperCommand, words: tuple[str, ...]) -> Command:
    options = {option: parameter for parameter in command.params for option in parameter.opts}
    named = frozenset(option for option in options if option.startswith("--"))
    return Command(words, named, frozenset(name for name in named if options[name].metavar in {"DIR", "FILE"}))


def _commands() -> dict[str, Command]:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    return {" ".join(command.words): command for command in _walk(root, ())}


COMMANDS = _commands()
