"""The rows of an artefact: its full schema, outcomes of pages as rows, and which rows of an earlier attempt stand.

The file begins with `img_file_name, source_etag`, has the job's own columns between, and ends with
`ok, error_stage, error_type, error_message, skipped, skip_reason`. Part files have `page`, the index, before all.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from bec_orch.core.frames import frame_name
from bec_orch.core.names import escaped
from bec_orch.core.volumes import SKIP_INTRO, Manifest, Page, PageOutcome, PageState, same_etag
from bec_orch.core.wording import said
from bec_orch.errors import TerminalError
from bec_orch.io.artefacts.columns import column

_BEFORE = (pa.field("img_file_name", pa.string(), nullable=False), pa.field("source_etag", pa.string()))
_AFTER = (
    pa.field("ok", pa.bool_(), nullable=False),
    pa.field("error_stage", pa.string()),
    pa.field("error_type", pa.string()),
    pa.field("error_message", pa.string()),
    pa.field("skipped", pa.bool_(), nullable=False),
    pa.field("skip_reason", pa.string()),
)
_PAGE = pa.field("page", pa.int32(), nullable=False)
_MESSAGE_LIMIT = 2000


def artefact_schema(job_schema: pa.Schema) -> pa.Schema:
    """Return the schema of a job's artefact, without metadata.

    Raises:
        TerminalError: the job has a column by a name that every artefact has (E_ROW_SCHEMA).
    """
    own = {field.name for field in (*_BEFORE, *_AFTER, _PAGE)}
    taken = sorted(own & set(job_schema.names))
    if taken:
        raise TerminalError(f"The job has columns by reserved names: {', '.join(taken)}.", code="E_ROW_SCHEMA")
    return pa.schema([*_BEFORE, *job_schema, *_AFTER])


def part_schema(schema: pa.Schema) -> pa.Schema:
    """Return the schema of the part files of an artefact."""
    return pa.schema([_PAGE, *schema])


def outcomes_table(outcomes: Sequence[PageOutcome], manifest: Manifest, job_schema: pa.Schema) -> pa.Table:
    """Turn outcomes of pages into rows of a part file, in the order of the manifest; pictures of a file are neighbours.

    Raises:
        TerminalError: a row does not fit the job's columns (E_ROW_SCHEMA): trying again cannot help.
    """
    ordered = [each for outcome in sorted(outcomes, key=lambda outcome: outcome.index) for each in outcome.every]
    schema = part_schema(artefact_schema(job_schema))
    own = set(job_schema.names)
    _check_names(ordered, own, manifest)
    columns = [
        _built(field, [outcome.row.get(field.name) for outcome in ordered])
        if field.name in own
        else pa.array([_COMMON[field.name](outcome, manifest) for outcome in ordered], type=field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _row_name(outcome: PageOutcome, manifest: Manifest) -> str:
    """Return the name of a row: that of the page's file, or of a further picture in it."""
    return frame_name(manifest.pages[outcome.index].filename, outcome.frame)


_COMMON: Mapping[str, Callable[[PageOutcome, Manifest], Any]] = {
    "page": lambda outcome, _: outcome.index,
    "img_file_name": _row_name,
    "source_etag": lambda outcome, _: outcome.source_etag,
    "ok": lambda outcome, _: outcome.state is PageState.OK,
    "error_stage": lambda outcome, _: outcome.error_stage,
    "error_type": lambda outcome, _: outcome.error_type,
    "error_message": lambda outcome, _: _storable(outcome.error_message),
    "skipped": lambda outcome, _: outcome.state is PageState.SKIPPED,
    "skip_reason": lambda outcome, _: outcome.skip_reason,
}


def _storable(message: str | None) -> str | None:
    """Cut a message, and escape what UTF-8 cannot hold: messages quote names and bytes of damaged files."""
    return None if message is None else escaped(message)[:_MESSAGE_LIMIT]


def _check_names(outcomes: Sequence[PageOutcome], own: set[str], manifest: Manifest) -> None:
    for outcome in outcomes:
        unknown = outcome.row.keys() - own
        if unknown:
            page = _row_name(outcome, manifest)
            raise TerminalError(
                f"The job gave the page '{page}' columns that its schema has not: {', '.join(sorted(unknown))}.",
                code="E_ROW_SCHEMA",
            )


def _built(field: "pa.Field[Any]", values: list[Any]) -> "pa.Array[Any]":
    try:
        return column(values, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise TerminalError(
            f"The job gave a value for the column '{field.name}' that is no {field.type}: {said(error)}.",
            code="E_ROW_SCHEMA",
        ) from error


def standing_rows(table: pa.Table, manifest: Manifest, taken: Callable[[int], bool]) -> list[int]:
    """Return the positions of the rows of an earlier attempt that stand for a manifest's pages.

    Those are rows of pages that are not `taken` yet, of the same file name and image ETag, and `ok`, or skipped for a
    reason that still holds. Errors are tried again. The pictures of a file stand or fall together.
    """
    columns = table.select(["page", "img_file_name", "source_etag", "ok", "skipped", "skip_reason"])
    places: dict[int, list[int]] = defaultdict(list)
    rows = columns.to_pylist()
    for position, row in enumerate(rows):
        if 0 <= row["page"] < len(manifest.pages) and not taken(row["page"]):
            places[row["page"]].append(position)
    return sorted(
        position
        for page, own in places.items()
        if all(_stands(rows[place], manifest.pages[page], frame) for frame, place in enumerate(own, start=1))
        for position in own
    )


def _stands(row: Mapping[str, Any], page: Page, frame: int) -> bool:
    if row["img_file_name"] != frame_name(page.filename, frame) or not same_etag(row["source_etag"], page.etag):
        return False
    if row["ok"]:
        return page.skip_reason is None and page.etag is not None
    by_the_job = page.skip_reason is None and row["skip_reason"] != SKIP_INTRO
    return bool(row["skipped"]) and (by_the_job or row["skip_reason"] == page.skip_reason)
