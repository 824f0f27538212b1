"""What a mutant is: edits of the program that take one guard away, and the tests that must notice."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Edit:
    """A text that stands once in a file of the package, and what replaces it. `file` is below `bec_orch/`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Mutant:
    """The program without one guard. One of `tests` (files or ids) must fail."""

    name: str
    guard: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
