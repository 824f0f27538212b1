"""One picture per volume: its pages with the boxes of the lines that were read drawn over them."""

from collections.abc import Callable, Mapping

import pyarrow as pa

from bec_orch.jobs.ldv1.sheets import Row, Size, sheet


def volume_sheet(name: str, rows: pa.Table, read: Callable[[int], bytes]) -> bytes:
    """Draw a volume.

    Args:
        name: the volume, for the title.
        rows: the rows of its `ocrv1` Parquet file, in manifest order.
        read: returns the bytes of the image of the page with that number, from 0.

    Returns:
        A JPEG file.
    """
    return sheet(name, rows, read, _as_found)


def _as_found(row: Row, size: Size | None) -> Row:
    """Return a row as `ldv1` would have it, each line's box in place of its outline."""
    width, height = size or (None, None)
    contours = [_corners(box) for box in row["line_bboxes"] or ()]
    return {**row, "width": width, "height": height, "contours": contours, "line_ids": None}


def _corners(box: Mapping[str, int]) -> list[dict[str, int]]:
    left, top, right, bottom = box["x"], box["y"], box["x"] + box["w"] - 1, box["y"] + box["h"] - 1
    return [{"x": x, "y": y} for x, y in ((left, top), (right, top), (right, bottom), (left, bottom))]
