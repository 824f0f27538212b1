"""A job type that reads the same text on every page, and leaves it as `ocrv1` does."""

from typing import ClassVar

import pyarrow as pa

from bec_orch.core.ports.job_worker import JobContext
from bec_orch.core.volumes import Page, PageOutcome, PageState
from bec_orch.jobs.ocrv1.worker import SCHEMA
from tests.support.jobs.toy_job import ToyJob

READ = "བཀྲ་ཤིས།"
_BOX = {"x": 0, "y": 0, "w": 9, "h": 9}


class TextsJob(ToyJob):
    """Reads no images; a page of 0 bytes is an error."""

    job_type: ClassVar[str] = "texts"

    @property
    def schema(self) -> pa.Schema:
        return SCHEMA

    @property
    def counted(self) -> dict[str, str]:
        return {"lines": "nb_lines"}

    def _outcome(self, context: JobContext, page: Page) -> PageOutcome:
        if page.size == 0:
            return super()._outcome(context, page)
        row = {"nb_lines": 1, "line_texts": [READ], "line_confidences": [0.9], "page_text": READ, "line_bboxes": [_BOX]}
        return PageOutcome(page.index, PageState.OK, page.etag, row)
