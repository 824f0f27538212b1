"""A job that is fast, has a known answer, and does what a test wants at each page."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import anyio
import pyarrow as pa
from pydantic import Field

from bec_orch.core.artefacts import ModelInfo
from bec_orch.core.job_config import JobConfig
from bec_orch.core.metrics import Metrics, Stopwatch
from bec_orch.core.ports.job_worker import JobContext, WorkerResources
from bec_orch.core.volumes import Page, PageOutcome, PageState
from bec_orch.errors import Interrupted, LeaseLost, PageError


class ToyConfig(JobConfig):
    """`factor` changes the output; `patience` does not."""

    factor: int = 1
    patience: float = Field(default=0.0, json_schema_extra={"affects_output": False})


def nothing(_context: JobContext, _page: Page) -> None:
    """Do nothing at a page."""


def keep_answer(context: JobContext, page: Page) -> None:
    """Keep a sidecar file for a page, as a job does with what a server answered."""
    context.sidecars.put(f"{page.index}.json", answer(page), page)


def answer(page: Page) -> bytes:
    """What `keep_answer` keeps for a page."""
    return f'{{"page": "{page.filename}", "etag": {page.etag}}}'.encode()


class ToyFigures:
    """Reports a page's size."""

    columns = ("length",)

    def __call__(self, row: Mapping[str, Any]) -> Mapping[str, float | str | None]:
        return {"bytes": row["length"]}

    def of_volume(self, pages: Sequence[Mapping[str, float | str | None]]) -> Mapping[str, float | None]:
        sizes = [float(page["bytes"] or 0) for page in pages]
        return {"mean size": sum(sizes) / len(sizes) if sizes else None, "good": len(sizes)}


FIGURES = ToyFigures()


class ToyJob:
    """Writes each page's size in bytes. `at_page` is called before each page, and may raise, wait, change the world."""

    job_type: ClassVar[str] = "toy"
    needs: ClassVar[tuple[str, ...]] = ()
    config_type: ClassVar[type[JobConfig]] = ToyConfig
    code_version: ClassVar[str] = "1"

    def __init__(self, config: ToyConfig, at_page: Callable[[JobContext, Page], None] = nothing) -> None:
        self._config = config
        self._at_page = at_page
        self.closed = 0

    @classmethod
    def create(cls, config: Mapping[str, Any], _resources: WorkerResources) -> Self:
        return cls(ToyConfig.parse(config))

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        return (ModelInfo("scales", "5ca1e5"),)

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([("length", pa.int32())])

    @property
    def counted(self) -> Mapping[str, str]:
        return {"bytes": "length"}

    def run(self, context: JobContext) -> Metrics:
        watch = Stopwatch()
        finished = context.rows.finished()
        for page in context.manifest.pages:
            if page.index not in finished:
                self._boundary(context)
                self._at_page(context, page)
                context.rows.add(self._outcome(context, page))
                watch.count("pages")
                context.progress(context.rows.counts().total)
        return watch.metrics()

    def close(self) -> None:
        self.closed += 1

    def _boundary(self, context: JobContext) -> None:
        try:
            context.stop.check()
        except (Interrupted, LeaseLost):
            context.rows.flush()
            raise

    def _outcome(self, context: JobContext, page: Page) -> PageOutcome:
        if page.skip_reason:
            return PageOutcome(page.index, PageState.SKIPPED, page.etag, skip_reason=page.skip_reason)
        try:
            read = anyio.run(context.pages.read, page)
        except PageError as error:
            return PageOutcome(
                page.index,
                PageState.ERROR,
                page.etag,
                error_stage=error.stage,
                error_type=error.code,
                error_message=error.message,
                error_hint=error.hint,
            )
        return PageOutcome(page.index, PageState.OK, read.etag, {"length": len(read.data) * self._config.factor})
