"""One picture per volume: its pages with the lines that were found drawn over them."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bec_orch.core.frames import file_and_frame
from bec_orch.errors import PageError
from bec_orch.jobs.images import decode, probe
from bec_orch.jobs.ldv1.overlay import Picture, caption, contact_sheet, draw_page, encode_jpeg
from bec_orch.jobs.shared.geometry import reduction

Row: TypeAlias = Mapping[str, Any]
Size: TypeAlias = tuple[int, int]

# Pages are drawn at twice the width that they have on the sheet.
_PAGE_WIDTH = 2000


def volume_sheet(name: str, rows: pa.Table, read: Callable[[int], bytes]) -> bytes:
    """Draw pages of a volume.

    Args:
        name: the volume, for the title.
        rows: rows of its `ldv1` Parquet file, or of a part of its columns' superset, in manifest order.
        read: returns the bytes of the image of the page with that number, from 0.

    Returns:
        A JPEG file.
    """
    return sheet(name, rows, read, _sized)


def _sized(row: Row, size: Size | None) -> Row:
    """Return a row with the size of its image where it tells none, as those of the earlier system do not."""
    return row if size is None or row["width"] else {**row, "width": size[0], "height": size[1]}


def sheet(
    name: str, rows: pa.Table, read: Callable[[int], bytes], as_found: Callable[[Row, Size | None], Row]
) -> bytes:
    """Draw a volume of a job type whose rows are not those of `ldv1`.

    Args:
        name: the volume, for the title.
        rows: its rows, in manifest order.
        read: returns the bytes of the image of the page with that number, from 0.
        as_found: returns a row as `ldv1` would have it; it is told the (width, height) of the stored bitmap, None where
            the image cannot be had.

    Returns:
        A JPEG file.
    """
    return encode_jpeg(contact_sheet(_cells(rows, read, as_found), name=name, total=rows.num_rows))


def _cells(
    rows: pa.Table,
    read: Callable[[int], bytes],
    as_found: Callable[[Row, Size | None], Row],
) -> Iterator[tuple[str, Picture]]:
    for at in range(rows.num_rows):
        row = rows.slice(at, 1).to_pylist()[0]
        image, size = (
            _image(read, at, file_and_frame(row["img_file_name"])[1])
            if row["ok"] and not row["skipped"]
            else (None, None)
        )
        found = as_found(row, size)
        yield caption(found), draw_page(image, found, max_width=_PAGE_WIDTH)


def _image(read: Callable[[int], bytes], at: int, frame: int) -> tuple[NDArray[np.uint8] | None, Size | None]:
    """Return a page's image, shrunk while it is decoded, and its own size; nothing when it cannot be had any more."""
    try:
        data = read(at)
        header = probe(data, frame=frame)
        return decode(data, header, reduce=reduction(header.width, _PAGE_WIDTH)), (header.width, header.height)
    except PageError:
        return None, None
