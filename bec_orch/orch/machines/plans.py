"""Plans: what will be done, in words, before it is done."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Action:
    """One step: what it does, in words that follow "will", and the call that does it."""

    words: str
    do: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Steps in the order in which they are taken, and what a person should know before that. None: nothing to do."""

    actions: tuple[Action, ...]
    remarks: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """What will be done."""
        return tuple(action.words for action in self.actions)


def apply(plan: Plan) -> Iterator[str]:
    """Take the steps one by one, and yield the words of each when it is done; nothing is done before it is iterated.

    A step that fails raises its error; those before it stay done, and a new plan begins from there.
    """
    for action in plan.actions:
        action.do()
        yield action.words
