"""A job's functions as the pipeline calls them: what they raise is sorted into the page's faults and the machine's."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic

from bec_orch.core.frames import MOST_FRAMES
from bec_orch.core.metrics import Stopwatch
from bec_orch.core.shortages import shortage_of
from bec_orch.core.wording import named
from bec_orch.errors import BecError, PageError, RetryableError
from bec_orch.jobs.pipeline.page_input import PageInput, VolumeT
from bec_orch.jobs.pipeline.page_job import PageJob, Round, Row, StateT
from bec_orch.jobs.pipeline.seats import Batched, ItemT, OutputT
from bec_orch.jobs.pipeline.threads import ResultT


class Steps(Generic[ItemT, OutputT, StateT, VolumeT]):
    """The steps of a page job.

    All raise PageError for what is the page's own fault, RetryableError for what is the machine's, and any other
    BecError as the job raised it.
    """

    def __init__(self, job: PageJob[ItemT, OutputT, StateT, VolumeT]) -> None:
        self._job = job

    def wants_image(self, page: PageInput[VolumeT]) -> bool:
        """See `PageJob.wants_image`."""
        return isolated("fetch", partial(self._job.wants_image, page))

    def frames(self, page: PageInput[VolumeT]) -> int:
        """Return how many pictures the page's file has.

        Raises:
            PageError: more than are read one by one (E_IMAGE_MULTIPAGE), or the file is no image that is read.
        """
        frames = isolated("decode", lambda: page.header.frames)
        if frames > MOST_FRAMES:
            raise PageError(
                f"The file has {frames} pictures, and at most {MOST_FRAMES} of a file are done.",
                stage="decode",
                code="E_IMAGE_MULTIPAGE",
                hint="Split the file, or leave `frames` at `first`.",
            )
        return frames

    def measure(self, page: PageInput[VolumeT]) -> int:
        """See `PageJob.measure`."""
        return isolated("decode", partial(self._job.measure, page))

    def decode(self, page: PageInput[VolumeT]) -> Round[ItemT, StateT]:
        """See `PageJob.decode`."""
        return isolated("decode", partial(self._job.decode, page))

    def finish(self, page: PageInput[VolumeT], state: StateT, outputs: Sequence[OutputT]) -> Row | Round[ItemT, StateT]:
        """See `PageJob.finish`."""
        return isolated("finish", partial(self._job.finish, page, state, outputs))

    def infer(self, seat: Batched[ItemT, OutputT], items: Sequence[ItemT]) -> Sequence[OutputT]:
        """Run a model of this process. Its faults are the machine's."""
        try:
            outputs = seat.infer(items)
            if len(outputs) != len(items):
                raise ValueError(f"{len(outputs)} outputs for {len(items)} items")
        except BecError:
            raise
        except Exception as error:  # engines raise what they like, mostly RuntimeError, for faults of GPU and driver
            raise shortage_of(error) or RetryableError(
                f"The model failed: {named(error)}.", code="E_MODEL_FAILED", hint="Run `bec doctor`."
            ) from error
        return outputs

    def whole_page(self, seat: Batched[ItemT, OutputT], page: PageInput[VolumeT], watch: Stopwatch) -> Row:
        """Take a page to its row, its items one by one through the model."""
        with watch.stage("decode"):
            wants = self.decode(page)
        while True:
            with watch.stage("infer"):
                outputs = [self.infer(seat, [item])[0] for item in wants.items]
            with watch.stage("finish"):
                result = self.finish(page, wants.state, outputs)
            if not isinstance(result, Round):
                return result
            wants = result


def isolated(stage: str, function: Callable[[], ResultT]) -> ResultT:
    """Turn what a page's bytes make a job's function raise into that page's error."""
    try:
        return function()
    except BecError:
        raise
    except Exception as error:  # a page is an isolation boundary: an unforeseen error costs no other
        raise shortage_of(error) or PageError(
            f"{named(error)}.", stage=stage, code="E_PAGE_UNEXPECTED", hint="Report it, with the page."
        ) from error
