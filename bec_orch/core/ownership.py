"""What is this database's own in a store that others write to, too: nothing else is ever removed or replaced.

A `success.json` of ours carries our format and the identity of the database that its task is in, and names of the files
beside it carry the beginning of that identity. Before there were identities, a `success.json` named only its task.
"""

from collections.abc import Callable
from dataclasses import dataclass

FORMAT = 1
"""The version of the fields of a `success.json` (docs/artefact-formats.md)."""

_TAG_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Mark:
    """What a `success.json` says of who made it; None where it says nothing."""

    format: int | None = None
    database: str | None = None
    task_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Owner:
    """A database, as the store of artefacts knows it.

    `has_task` says whether a task with this uid is one of the database's; it may ask the database.
    """

    identity: str
    has_task: Callable[[str], bool]

    @property
    def tag(self) -> str:
        """The beginning of the identity: 12 hex digits that the names of our files carry."""
        return self.identity.replace("-", "")[:_TAG_LENGTH]

    def owns(self, mark: Mark) -> bool:
        """Return whether what carries this mark is ours.

        Raises:
            DatabaseError: the database is away, and the mark is of the time before there were identities.
        """
        if mark.format != FORMAT:
            return False
        if mark.database is not None:
            return mark.database == self.identity
        return mark.task_uid is not None and self.has_task(mark.task_uid)
