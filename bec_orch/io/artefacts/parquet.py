"""Parquet files that come back from a store: whatever is wrong with one raises a single error."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from bec_orch.core.wording import said
from bec_orch.io.artefacts.parquet_bounds import MOST_FOOTER_BYTES, check_footer, check_sizes

_MOST_ITEMS = 1_000_000


class BrokenParquet(Exception):
    """A file is not Parquet, or a damaged or hostile one; in one line."""


@contextmanager
def reading() -> Iterator[None]:
    """Turn whatever pyarrow raises about a file's content, within the block, into `BrokenParquet`.

    Damage shows in many ways: pyarrow's own errors, OSError for the file's format, and where names or texts are no
    UTF-8 or numbers are out of range, the errors of Python.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError, RecursionError) as error:
        raise BrokenParquet(said(error)) from error


def opened(file: IO[bytes], size: int) -> pq.ParquetFile:
    """Open a file of this many bytes, and read its footer. Within `reading`."""
    check_footer(file, size)
    return pq.ParquetFile(file, thrift_string_size_limit=MOST_FOOTER_BYTES, thrift_container_size_limit=_MOST_ITEMS)


def to_be_read(file: IO[bytes], size: int, columns: Sequence[str] | None = None) -> pq.ParquetFile:
    """Open a file of which some columns are to be read, or all: see `check_sizes`. Within `reading`."""
    parquet = opened(file, size)
    check_sizes(parquet, file, columns)
    return parquet


def checked(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield batches, each once its values were found to be what their types say.

    Raises:
        BrokenParquet: those of one are not, or it cannot be read.
    """
    while True:
        with reading():
            batch = next(batches, None)
            if batch is None:
                return
            batch.validate(full=True)
        yield batch
