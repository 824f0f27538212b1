"""The columns of the library's earlier system, told in ours: one place where they differ, for every reader.

Each kind of its artefacts is known by the columns that no other has (docs/artefact-formats.md): text lines, the text of
lines, the text of whole pages of two kinds, classes of pages. What a kind does not have is null, as it is in our rows.
Columns that we do not know are handed on as they are.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

ERROR = "E_PAGE_EARLIER"
"""The code of a page that the earlier system could not do: it had none, and told the type of an exception at most."""

Columns = Mapping[str, "pa.Array[Any] | pa.ChunkedArray[Any]"]
Flags = Sequence[bool]

_TEXT = pa.string()
_OUR_STATE = frozenset({"ok", "error_type", "skipped", "skip_reason"})
_POINT = pa.struct([("x", pa.int32()), ("y", pa.int32())])
_BOX = pa.struct([("x", pa.int32()), ("y", pa.int32()), ("w", pa.int32()), ("h", pa.int32())])
_STORED_AS: Mapping[str, pa.DataType] = {
    "tps_points": pa.list_(pa.list_(pa.float32())),
    "tps_alpha": pa.float32(),
    "contours": pa.list_(pa.list_(_POINT)),
    "nb_contours": pa.int32(),
    "contours_bboxes": pa.list_(_BOX),
}
_BREAK = re.compile(r"\r\n|\r|\n")


def in_our_columns(rows: pa.Table) -> pa.Table:
    """Return rows with the columns that a job of ours would have left; rows of ours as they are.

    Raises:
        pa.ArrowException, ValueError: a column is not of the kind that its name says.
    """
    there = frozenset(rows.column_names)
    if there >= _OUR_STATE:
        return rows
    ok, states = _states(rows)
    read = next((read for known_by, read in _KINDS if there >= known_by), None)
    told = {**(read(rows, ok) if read else {}), **states}
    for name, values in told.items():
        place = rows.schema.get_field_index(name)
        rows = rows.append_column(name, values) if place < 0 else rows.set_column(place, name, values)
    return rows


def _states(rows: pa.Table) -> tuple[Flags, Columns]:
    """Return whether each page was done, and what became of it: an error has a code and one sentence."""
    skipped = [value is True for value in _values(rows, "skipped", pa.bool_())]
    done = [done and not left_out for done, left_out in zip(_done(rows), skipped, strict=True)]
    failed = [not ok and not left_out for ok, left_out in zip(done, skipped, strict=True)]
    told = (_values(rows, name) for name in ("error_type", "error_message", "error"))
    messages = [_message(*one) for one in zip(*told, strict=True)]
    return done, {
        "source_etag": _texts(etag or None for etag in _values(rows, "source_etag")),
        "ok": pa.array(done, pa.bool_()),
        "error_stage": _texts(_where(failed, _values(rows, "error_stage"))),
        "error_type": _texts(_where(failed, [ERROR] * rows.num_rows)),
        "error_message": _texts(_where(failed, messages)),
        "skipped": pa.array(skipped, pa.bool_()),
        "skip_reason": _texts(_where(skipped, _values(rows, "skip_reason"))),
    }


def _done(rows: pa.Table) -> Flags:
    there = rows.column_names
    if "ok" in there:
        return [value is True for value in _values(rows, "ok", pa.bool_())]
    if "status" in there:
        return [value == "ok" for value in _values(rows, "status")]
    if "text" in there:
        return [value is not None for value in _values(rows, "text")]
    return [True] * rows.num_rows


def _message(kind: str | None, message: str | None, error: str | None) -> str:
    """Join what is told of an error: the type of the exception, and its message."""
    return ": ".join(filter(None, (kind, message or error))) or "not told"


def _lines(rows: pa.Table, ok: Flags) -> Columns:
    """Text lines (`ldv1`): each contour is a line, in the order in which they stand; no page says how large it is."""
    counts = [len(contours or ()) for contours in _values(rows, "contours", _STORED_AS["contours"])]
    return {
        **{name: rows[name].cast(kind) for name, kind in _STORED_AS.items() if name in rows.column_names},
        "width": pa.nulls(rows.num_rows, pa.int32()),
        "height": pa.nulls(rows.num_rows, pa.int32()),
        "rotation_angle": pa.array(
            [angle or None for angle in _values(rows, "rotation_angle", pa.float32())], pa.float32()
        ),
        "line_ids": pa.array(_where(ok, [range(count) for count in counts]), pa.list_(pa.int32())),
        "nb_lines": pa.array(_where(ok, counts), pa.int32()),
        "scores": pa.nulls(rows.num_rows, pa.list_(pa.float32())),
    }


def _text_of_lines(rows: pa.Table, ok: Flags) -> Columns:
    """The text of each line of `ldv1`, in its order (`ocrv1`)."""
    texts = [[text or "" for text in page or ()] for page in _values(rows, "texts", pa.list_(_TEXT))]
    return _read(ok, texts, ["\n".join(page) for page in texts])


def _text_of_pages(rows: pa.Table, ok: Flags) -> Columns:
    """The text of a page as a whole (`ocr_qwen_v1`, `paddleocr_v1`)."""
    pages = _values(rows, "page_text")
    return _read(ok, [_in_lines(page) for page in pages], pages)


def _text_with_confidence(rows: pa.Table, ok: Flags) -> Columns:
    """The text of a page, and how sure the service is of all of it (`google_vision_v1`): so sure it is of each line."""
    pages = _values(rows, "text")
    lines = [_in_lines(page) for page in pages]
    sure = [[value] * len(page) for value, page in zip(_values(rows, "confidence", pa.float32()), lines, strict=True)]
    return {**_read(ok, lines, pages), "line_confidences": pa.array(_where(ok, sure), pa.list_(pa.float32()))}


def _classes(rows: pa.Table, ok: Flags) -> Columns:
    """The class of a page (`script_classification`): none where the page is an error, so that no rule goes by it."""
    kinds: Mapping[str, pa.DataType] = {"label": _TEXT, "prob": pa.float32(), "probs": pa.list_(pa.float32())}
    return {name: pa.array(_where(ok, _values(rows, name, kind)), kind) for name, kind in kinds.items()}


_KINDS: tuple[tuple[frozenset[str], Callable[[pa.Table, Flags], Columns]], ...] = (
    (frozenset({"contours"}), _lines),
    (frozenset({"texts"}), _text_of_lines),
    (frozenset({"page_text"}), _text_of_pages),
    (frozenset({"text", "confidence"}), _text_with_confidence),
    (frozenset({"status", "label"}), _classes),
)


def _read(ok: Flags, lines: Sequence[Sequence[str]], pages: Sequence[str | None]) -> Columns:
    return {
        "line_texts": pa.array(_where(ok, lines), pa.list_(_TEXT)),
        "nb_lines": pa.array(_where(ok, [len(page) for page in lines]), pa.int32()),
        "line_confidences": pa.nulls(len(lines), pa.list_(pa.float32())),
        "line_bboxes": pa.nulls(len(lines), pa.list_(_BOX)),
        "page_text": _texts(_where(ok, pages)),
    }


def _in_lines(page: str | None) -> list[str]:
    return [line for line in _BREAK.split(page or "") if line.strip()]


def _values(rows: pa.Table, name: str, kind: pa.DataType = _TEXT) -> list[Any]:
    """Return the values of a column; None throughout where there is none."""
    if name not in rows.column_names:
        return [None] * rows.num_rows
    column: pa.ChunkedArray[Any] = rows[name].cast(kind)
    return list(column.to_pylist())


def _where(flags: Flags, values: Sequence[Any]) -> list[Any]:
    return [value if flag else None for flag, value in zip(flags, values, strict=True)]


def _texts(values: Any) -> "pa.Array[Any]":
    return pa.array(values, _TEXT)
