"""Artefacts of OCR and evaluation jobs, written by the real store, for tests that read them."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from bec_orch.core.artefacts import ArtefactLocation, AttemptKey, Success
from bec_orch.core.ports.job_worker import JobContext, JobWorker, PageReader, RowStore, WorkerResources
from bec_orch.core.volumes import Manifest, PageOutcome, PageState
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.ocrv1.worker import SCHEMA
from tests.unit.fakes import FlagStop, MemoryPages, resources


def ocr_outcome(index: int, text: str, confidence: float = 0.9) -> PageOutcome:
    """What an OCR job leaves of a page that it could read."""
    lines = text.splitlines()
    row = {
        "nb_lines": len(lines),
        "line_texts": lines,
        "line_confidences": [confidence] * len(lines),
        "page_text": text,
    }
    return PageOutcome(index, PageState.OK, f"etag-{index}", row)


def publish(
    artefacts: StoredArtefacts,
    job: str,
    manifest: Manifest,
    schema: pa.Schema,
    fill: Callable[[RowStore], None],
    counted: Mapping[str, str] | None = None,
) -> Success:
    """Take rows to a published artefact, as an attempt does."""
    location = ArtefactLocation(job, manifest.volume, manifest.version)
    files = artefacts.open_attempt(location, manifest, 1, AttemptKey("cfg", (), "1"), schema, counted or {})
    fill(files.rows)
    content = {"files": [dataclasses.asdict(files.assemble())], "counters": dict(files.counters())}
    files.close()
    return artefacts.commit(location, content, replaces=None)


def publish_ocr(
    artefacts: StoredArtefacts, manifest: Manifest, outcomes: Sequence[PageOutcome], job: str = "ocr"
) -> Success:
    """Publish what an OCR job left."""

    def fill(rows: RowStore) -> None:
        for outcome in outcomes:
            rows.add(outcome)

    return publish(artefacts, job, manifest, SCHEMA, fill)


def evaluate(
    artefacts: StoredArtefacts,
    job_worker: JobWorker,
    manifest: Manifest,
    *,
    needs: Sequence[str] = ("ocr",),
    pages: PageReader | None = None,
    job: str = "eval",
) -> Success:
    """Run an evaluation over the published artefacts of a volume, and publish it."""
    found = {name: artefacts.success(ArtefactLocation(name, manifest.volume, manifest.version)) for name in needs}

    def run(rows: RowStore) -> None:
        job_worker.run(
            JobContext(
                job=job,
                volume=manifest.volume,
                manifest=manifest,
                pages=pages or MemoryPages({}),
                rows=rows,
                stop=FlagStop(),
                progress=lambda _: None,
                work_dir=Path(),
                dependencies={name: _reader(artefacts, success) for name, success in found.items() if success},
            )
        )

    return publish(artefacts, job, manifest, job_worker.schema, run, job_worker.counted)


def _reader(artefacts: StoredArtefacts, success: Success) -> Callable[[], pa.Table]:
    return lambda: artefacts.read_rows(success)


def with_stores() -> WorkerResources:
    """What a job worker gets of its process, with stores to open."""
    return dataclasses.replace(resources(), open_store=Stores().open)


def rows_of(artefacts: StoredArtefacts, success: Success) -> list[dict[str, Any]]:
    """The rows of a published artefact."""
    found: list[dict[str, Any]] = artefacts.read_rows(success).to_pylist()
    return found
