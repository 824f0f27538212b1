"""What a page job supplies to the pipeline: pure functions from a page to items, and from outputs to a row."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from bec_orch.core.ports.job_worker import JobContext
from bec_orch.jobs.pipeline.page_input import PageInput, VolumeInputs, VolumeT
from bec_orch.jobs.pipeline.seats import ItemT, OutputT, Seat

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


class PageJob(Protocol[ItemT, OutputT, StateT, VolumeT]):
    """The functions of a page job. They hold no state between pages, and run in many threads at once.

    `decode` and `finish` may raise PageError; any other exception of theirs also becomes the page's error row, but for
    RetryableError and MemoryError, which stop the volume. What the model raises stops the volume, PageError excepted:
    the model is shared, so its faults are not a page's.
    """

    @property
    def seat(self) -> Seat[ItemT, OutputT]:
        """Where the model sits, and how it is asked."""
        ...

    @property
    def max_image_pixels(self) -> int:
        """Images of more pixels are refused."""
        ...

    @property
    def all_frames(self) -> bool:
        """Every picture of a file gets a row, not the first alone."""
        ...

    def open_volume(self, context: JobContext) -> VolumeInputs[VolumeT]:
        """Read what all pages of a volume need, before the first of them.

        Raises:
            BecError: it cannot be read, or is not what the job reads; the volume is not begun.
        """
        ...

    def wants_image(self, page: PageInput[VolumeT]) -> bool:
        """Return whether the page's image is to be fetched."""
        ...

    def measure(self, page: PageInput[VolumeT]) -> int:
        """Estimate, from the headers alone, how many bytes of memory the page will take from decoding to its row.

        Raises:
            PageError: the page must not or cannot be decoded.
        """
        ...

    def decode(self, page: PageInput[VolumeT]) -> Round[ItemT, StateT]:
        """Make the model's inputs of a page."""
        ...

    def finish(self, page: PageInput[VolumeT], state: StateT, outputs: Sequence[OutputT]) -> Row | Round[ItemT, StateT]:
        """Make the page's row of the outputs for its items, or ask for another round."""
        ...
