"""Builds Arrow columns from rows' values, which may be plain Python values or numpy arrays.

A list column takes arrays where lists are expected: `list<list<float32>>` a (k, 4) array, `list<struct<x, y, w, h>>` a
(k, 4) array whose columns are the fields in order, `list<list<struct<x, y>>>` a list of (n, 2) arrays. Arrays are
joined and handed to Arrow as offsets and flat values, never value by value.
"""

from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any

import pyarrow as pa


def column(values: Sequence[Any], kind: pa.DataType) -> "pa.Array[Any]":
    """Build one column; None is null.

    Raises:
        pa.ArrowException, TypeError, ValueError, OverflowError: a value does not fit the type.
    """
    if not pa.types.is_list(kind):
        return pa.array(values, type=kind)
    lengths = [0 if value is None else len(value) for value in values]
    there = [value for value in values if value is not None and len(value)]
    offsets = pa.array(accumulate(lengths, initial=0), type=pa.int32())
    nulls = pa.array([value is None for value in values], type=pa.bool_())
    return pa.ListArray.from_arrays(offsets, _flat(there, kind.value_type), type=kind, mask=nulls)


def _flat(lists: list[Any], kind: pa.DataType) -> "pa.Array[Any]":
    if lists and all(hasattr(each, "dtype") for each in lists):
        return _from_array(_joined(lists), kind)
    return column(list(chain.from_iterable(lists)), kind)


def _joined(arrays: list[Any]) -> Any:
    import numpy as np  # noqa: PLC0415  (numpy comes with the job types that hand in arrays, not with the base install)

    return np.concatenate(arrays)


def _from_array(array: Any, kind: pa.DataType) -> "pa.Array[Any]":
    """Turn an (n,) array into n values, or an (n, k) array into n structs of k fields or n lists of k values."""
    if pa.types.is_struct(kind):
        if array.ndim != 2 or array.shape[1] != kind.num_fields:  # noqa: PLR2004  (rows and fields)
            raise ValueError(f"an array of shape {array.shape} is not a list of {kind}")
        fields = [kind.field(number) for number in range(kind.num_fields)]
        columns = [pa.array(array[:, number], type=field.type) for number, field in enumerate(fields)]
        return pa.StructArray.from_arrays(columns, fields=fields)
    if pa.types.is_list(kind):
        rows, width = array.shape
        offsets = pa.array(range(0, rows * width + 1, width) if width else [0] * (rows + 1), type=pa.int32())
        return pa.ListArray.from_arrays(offsets, _from_array(array.reshape(-1), kind.value_type), type=kind)
    return pa.array(array, type=kind)
