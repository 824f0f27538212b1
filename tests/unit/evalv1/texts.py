"""OCR rows and other small things that the tests of `evalv1` share."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa

from bec_orch.core.ports.job_worker import JobContext
from bec_orch.jobs.evalv1.ocr_rows import OcrPage
from tests.unit.fakes import MemoryRows, context

OCR_SCHEMA = pa.schema(
    [
        ("img_file_name", pa.string()),
        ("source_etag", pa.string()),
        ("line_texts", pa.list_(pa.string())),
        ("line_confidences", pa.list_(pa.float32())),
        ("line_kinds", pa.list_(pa.string())),
        ("line_bboxes", pa.list_(pa.struct([(name, pa.int32()) for name in "xywh"]))),
        ("page_text", pa.string()),
        ("ok", pa.bool_()),
        ("error_type", pa.string()),
        ("error_message", pa.string()),
        ("skipped", pa.bool_()),
        ("skip_reason", pa.string()),
    ]
)


def read(text: str, confidence: float = 0.9) -> OcrPage:
    """A page of which this was read, each line with the same confidence."""
    lines = text.splitlines()
    return OcrPage(text, lines, [confidence] * len(lines))


def ocr_row(name: str, text: str | None = "", **values: Any) -> dict[str, Any]:
    """A row of an OCR artefact; a page without text (None) is not ok."""
    page = read(text or "")
    return {
        "img_file_name": name,
        "source_etag": f"etag-{name}",
        "line_texts": page.lines,
        "line_confidences": page.confidences,
        "page_text": text,
        "ok": text is not None,
        "error_type": None,
        "error_message": None,
        "skipped": False,
        "skip_reason": None,
        **values,
    }


def artefact(rows: Sequence[Mapping[str, Any]]) -> Callable[[], pa.Table]:
    """What a job's context gives of a dependency."""
    return lambda: pa.Table.from_pylist(list(rows), schema=OCR_SCHEMA)


def evaluated(
    files: Mapping[str, bytes | Exception],
    rows: MemoryRows,
    dependencies: Mapping[str, Callable[[], pa.Table]],
    **values: Any,
) -> JobContext:
    """The context of an evaluation of a volume of these files."""
    return replace(context(files, rows, **values), dependencies=dependencies)
