"""Parquet files that come back from a store: what is wrong with one is told by a single error."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa


class BrokenParquet(Exception):  # noqa: N818  (it tells a state of the file)
    """A file is no Parquet, or a damaged or hostile one; in one line."""


@contextmanager
def reading() -> Iterator[None]:
    """Turn whatever pyarrow raises about a file's content, within the block, into `BrokenParquet`.

    Damage shows in many ways: pyarrow's own errors, OSError for the file's format, and where names or texts are no
    UTF-8 or numbers are out of range, the errors of Python.
    """
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, LookupError, OverflowError) as error:
        raise BrokenParquet(" ".join(str(error).split())) from error


def checked(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Give batches on, each once its values were found to be what their types say.

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
