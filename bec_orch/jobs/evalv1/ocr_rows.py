"""What a volume's OCR left for each page: the rows of a dependency's artefact, read through the job's context."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bec_orch.core.models import Manifest, Page
from bec_orch.jobs.evalv1.config import Evalv1Config, wrong_dependency

if TYPE_CHECKING:
    import pyarrow as pa

Dependencies = Mapping[str, "Callable[[], pa.Table]"]

_Row = Mapping[str, Any]
_COLUMNS = (
    *("img_file_name", "source_etag", "ok", "skipped", "skip_reason", "error_type"),
    *("line_texts", "line_confidences", "page_text"),
)


@dataclass(frozen=True, slots=True)
class OcrPage:
    """A page's text in reading order, its lines, and the confidence of each line (0 to 1)."""

    text: str
    lines: Sequence[str]
    confidences: Sequence[float]


class OcrRows:
    """The pages of one OCR artefact, by their place in the manifest.

    Raises:
        ConfigError: the dependency is no OCR job (E_EVAL_DEPENDENCY).
    """

    def __init__(self, job: str, table: "pa.Table", manifest: Manifest) -> None:
        missing = sorted(set(_COLUMNS) - set(table.column_names))
        if missing:
            raise wrong_dependency(f"The artefact of '{job}' has no column {missing[0]}: it is not an OCR job's.")
        self._job = job
        rows: list[_Row] = table.select(list(_COLUMNS)).to_pylist()
        by_name = {row["img_file_name"]: row for row in rows}
        self._rows: list[_Row | None] = [by_name.get(page.filename) for page in manifest.pages]

    def skip_reason(self, page: Page) -> str | None:
        """Tell why the page has no text to look at: the dependency skipped it, or failed on it. None if it has."""
        row = self._rows[page.index]
        if row is None:
            return f"{self._job}: no row"
        if row["skipped"]:
            return f"{self._job}: {row['skip_reason'] or 'skipped'}"
        return None if row["ok"] else f"{self._job}: {row['error_type'] or 'error'}"

    def page(self, page: Page) -> OcrPage:
        """Give what was read on a page that has no `skip_reason`."""
        row = self._rows[page.index] or {}
        return OcrPage(row.get("page_text") or "", row.get("line_texts") or (), row.get("line_confidences") or ())

    def etag(self, page: Page) -> str | None:
        """Give the version of the image that the text of such a page was read from."""
        etag: str | None = (self._rows[page.index] or {}).get("source_etag")
        return etag


@dataclass(frozen=True, slots=True)
class OcrJobs:
    """The dependency that is evaluated, and the one that it is compared with."""

    first: OcrRows
    second: OcrRows | None

    @classmethod
    def read(cls, config: Evalv1Config, dependencies: Dependencies, manifest: Manifest) -> "OcrJobs":
        """Read the artefacts that the config names.

        Raises:
            ConfigError: the config names no dependency of the job, or leaves open which (E_EVAL_DEPENDENCY).
            RetryableError: an artefact is gone, or its store away.
        """
        rows = [OcrRows(name, dependencies[name](), manifest) for name in config.ocr_jobs(list(dependencies))]
        return cls(rows[0], rows[1] if len(rows) > 1 else None)
