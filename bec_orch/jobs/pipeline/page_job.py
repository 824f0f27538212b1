"""What a page job supplies to the pipeline: pure functions from bytes to items, outputs and a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from bec_orch.core.models import Page

ItemT = TypeVar("ItemT")
OutputT = TypeVar("OutputT")
StateT = TypeVar("StateT")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Round(Generic[ItemT, StateT]):
    """What a page wants of the model.

    Attributes:
        items: inputs for the model (a page, tiles, line crops); may be empty.
        state: whatever `finish` needs of the page.
        nbytes: memory that items and state take together, bytes.
    """

    items: Sequence[ItemT]
    state: StateT
    nbytes: int


class PageJob(Protocol[ItemT, OutputT, StateT]):
    """The functions of a page job. They hold no state between pages, and run in many threads at once.

    `decode` and `finish` may raise PageError; any other exception of theirs also becomes the page's error row, but for
    RetryableError and MemoryError, which stop the volume. What `infer` raises stops the volume, PageError excepted: the
    model is shared, so its faults are not a page's.
    """

    @property
    def batch_size(self) -> int:
        """How many items the model wants at once, at most; 1 on CPUs, where batches are slower."""
        ...

    def measure(self, page: Page, data: bytes) -> int:
        """Tell, from the headers alone, how many bytes of memory the page will take from decoding to its row.

        Raises:
            PageError: the page must not or cannot be decoded.
        """
        ...

    def decode(self, page: Page, data: bytes) -> Round[ItemT, StateT]:
        """Make the model's inputs of a page's bytes."""
        ...

    def infer(self, items: Sequence[ItemT]) -> Sequence[OutputT]:
        """Run the model on items of any pages, at most `batch_size`; one output per item, in their order."""
        ...

    def finish(self, page: Page, state: StateT, outputs: Sequence[OutputT]) -> Row | Round[ItemT, StateT]:
        """Make the page's row of the outputs for its items, or ask for another round."""
        ...
