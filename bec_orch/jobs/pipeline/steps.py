"""A job's functions as the pipeline calls them: what they raise is sorted into page's faults and machine's."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic

from bec_orch.core.metrics import Stopwatch
from bec_orch.core.models import Page
from bec_orch.errors import AWAY, FREE_SPACE, NO_ROOM, BecError, DiskFullError, PageError, RetryableError
from bec_orch.jobs.pipeline.page_job import ItemT, OutputT, PageJob, Round, Row, StateT
from bec_orch.jobs.pipeline.threads import ResultT


class Steps(Generic[ItemT, OutputT, StateT]):
    """The steps of a page job.

    All raise PageError for what is the page's own fault, RetryableError for what is the machine's, and any other
    BecError as the job raised it.
    """

    def __init__(self, job: PageJob[ItemT, OutputT, StateT]) -> None:
        self._job = job

    def measure(self, page: Page, data: bytes) -> int:
        """See `PageJob.measure`."""
        return isolated("decode", partial(self._job.measure, page, data))

    def decode(self, page: Page, data: bytes) -> Round[ItemT, StateT]:
        """See `PageJob.decode`."""
        return isolated("decode", partial(self._job.decode, page, data))

    def finish(self, page: Page, state: StateT, outputs: Sequence[OutputT]) -> Row | Round[ItemT, StateT]:
        """See `PageJob.finish`."""
        return isolated("finish", partial(self._job.finish, page, state, outputs))

    def infer(self, items: Sequence[ItemT]) -> Sequence[OutputT]:
        """See `PageJob.infer`. Its faults are the machine's."""
        try:
            outputs = self._job.infer(items)
            if len(outputs) != len(items):
                raise ValueError(f"{len(outputs)} outputs for {len(items)} items")
        except MemoryError as error:
            raise _no_memory("infer") from error
        except BecError:
            raise
        except Exception as error:  # engines raise what they like, mostly RuntimeError, for faults of GPU and driver
            raise RetryableError(
                f"The model failed: {type(error).__name__}: {error}", code="E_MODEL_FAILED", hint="Run `bec doctor`."
            ) from error
        return outputs

    def whole_page(self, page: Page, data: bytes, watch: Stopwatch) -> Row:
        """Take a page from its bytes to its row, its items one by one through the model."""
        with watch.stage("decode"):
            wants = self.decode(page, data)
        while True:
            with watch.stage("infer"):
                outputs = [self.infer([item])[0] for item in wants.items]
            with watch.stage("finish"):
                result = self.finish(page, wants.state, outputs)
            if not isinstance(result, Round):
                return result
            wants = result


def isolated(stage: str, function: Callable[[], ResultT]) -> ResultT:
    """Make a page's error of what one page's bytes make a job's function raise."""
    try:
        return function()
    except MemoryError as error:
        raise _no_memory(stage) from error
    except BecError:
        raise
    except Exception as error:  # a page is an isolation boundary: one that nobody thought of costs no other
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise DiskFullError(f"There is no room left to {stage} a page.", hint=FREE_SPACE) from error
        if isinstance(error, OSError) and error.errno in AWAY:
            raise RetryableError(f"A disk or share is away: {error}.", code="E_DISK_AWAY") from error
        raise PageError(
            f"{type(error).__name__}: {error}", stage=stage, code="E_PAGE_UNEXPECTED", hint="Report it, with the page."
        ) from error


def _no_memory(stage: str) -> RetryableError:
    return RetryableError(
        f"There was not enough memory to {stage} a page.",
        code="E_MEMORY",
        hint="Lower the memory budget or the number of threads, or take a larger machine.",
    )
