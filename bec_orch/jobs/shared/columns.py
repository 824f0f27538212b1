"""Columns that several job types have: where the lines of a page are, and how it was straightened."""

import pyarrow as pa

POINT = pa.struct([("x", pa.int32()), ("y", pa.int32())])
BOX = pa.struct([("x", pa.int32()), ("y", pa.int32()), ("w", pa.int32()), ("h", pa.int32())])

STRAIGHTENING: dict[str, pa.DataType] = {
    "rotation_angle": pa.float32(),
    "tps_points": pa.list_(pa.list_(pa.float32())),
    "tps_alpha": pa.float32(),
}
OUTLINES: dict[str, pa.DataType] = {
    "width": pa.int32(),
    "height": pa.int32(),
    **STRAIGHTENING,
    "contours": pa.list_(pa.list_(POINT)),
    "nb_contours": pa.int32(),
    "contours_bboxes": pa.list_(BOX),
    "line_ids": pa.list_(pa.int32()),
}
"""docs/artefact-formats.md says what each means."""
