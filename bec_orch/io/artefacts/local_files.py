"""The files of this machine that an attempt writes before they go to a store."""

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bec_orch.io.stores.errors import file_errors

_LOCK = ".lock"


def write_parquet(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    """Write a Parquet file, zstd, one row group for each table, and close it.

    Raises:
        DiskFullError, StorageError: the file cannot be written.
    """
    with file_errors(f"write the file {path}"), pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table)


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file of this machine.

    Raises:
        StorageError: it cannot be read back.
    """
    with file_errors(f"read the file {path} again"), pq.ParquetFile(path) as parquet:
        return parquet.read(None if columns is None else list(columns))


class ScratchFolder:
    """A folder of an attempt's own in `work_dir`, locked as long as its process lives.

    Making one removes those that killed processes left: the ones whose lock nobody holds.

    Raises:
        DiskFullError, StorageError: it cannot be made.
    """

    def __init__(self, work_dir: Path) -> None:
        with file_errors(f"make a folder in {work_dir}"):
            work_dir.mkdir(parents=True, exist_ok=True)
            # One at a time: a folder that is made but not locked yet looks like one that was left.
            with _locked(work_dir):
                for left in work_dir.glob(f"attempt-*/{_LOCK}"):
                    _remove_if_free(left)
                self.path = Path(tempfile.mkdtemp(prefix="attempt-", dir=work_dir))
                self._lock = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
                fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove the folder. May be called twice."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def _remove_if_free(lock: Path) -> None:
    with contextlib.suppress(OSError), lock.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(lock.parent, ignore_errors=True)
