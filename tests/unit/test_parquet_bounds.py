"""Parquet files that are made to do harm: told as broken before they take memory or time."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bec_orch.core.ownership import FORMAT, Mark
from bec_orch.errors import StorageError, TerminalError
from bec_orch.io.artefacts import artefacts as module
from bec_orch.io.artefacts import parquet_bounds
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.artefacts.parquet import BrokenParquet, reading, to_be_read
from bec_orch.io.artefacts.success_json import MOST_BYTES, success_key
from bec_orch.io.stores.storage import Stores
from tests.fuzz.targets import parquet_files, stored_parquet
from tests.support.owners import owner

MOST_TAKEN = 8 * 2**20


def written(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **{"compression": "zstd", **options})
    return file.getvalue()


@pytest.fixture(autouse=True)
def lower_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the program would have the tests make gigabytes."""
    monkeypatch.setattr(parquet_bounds, "MOST_GROUP_BYTES", 2**24)
    monkeypatch.setattr(parquet_bounds, "MOST_GROUP_VALUES", 2**18)
    monkeypatch.setattr(parquet_bounds, "MOST_TEXT_BYTES", 2**26)
    monkeypatch.setattr(parquet_bounds, "MOST_ROWS", 50_000)


def ledger(rows: int) -> dict[str, "pa.Array[Any]"]:
    yes, no = (pa.array([value] * rows) for value in (True, False))
    return {"img_file_name": pa.array(["x.jpg"] * rows), "ok": yes, "skipped": no}


def zeros_in_one_page() -> bytes:
    """A text of 20 MiB, packed to less than a thousandth."""
    text = pa.array([b"\0" * (20 * 2**20)], pa.large_binary()).view(pa.large_string())
    return written(pa.table({**ledger(1), "page_text": text}), use_dictionary=False, write_statistics=False)


def one_text_many_times() -> bytes:
    """20,000 times the same 5,000 letters: a dictionary of one."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), ["y" * 5000])
    return written(pa.table({**ledger(20_000), "page_text": texts}))


def many_rows() -> bytes:
    return written(pa.table(ledger(50_001)))


def many_columns() -> bytes:
    return written(pa.table({**ledger(1), **{f"c{number}": [1] for number in range(1500)}}))


def many_values_in_one_row() -> bytes:
    """A list of 300,000 zeros in one row."""
    return written(pa.table({**ledger(1), "line_ids": [[0] * 300_000]}))


def texts_that_repeat_each_other() -> bytes:
    table = pa.table({**ledger(3), "page_text": ["a" * 1000] * 3})
    return written(table, use_dictionary=False, column_encoding={"page_text": "DELTA_BYTE_ARRAY"})


def encrypted() -> bytes:
    return written(pa.table(ledger(1)))[:-4] + b"PARE"


def footer_of_gigabytes() -> bytes:
    return written(pa.table(ledger(1)))[:-8] + struct.pack("<I", 2**31) + b"PAR1"


def long_metadata() -> bytes:
    return written(pa.table(ledger(1)).replace_schema_metadata({"k": "m" * (20 * 2**20)}))


def with_first_page(change: Callable[[bytes], bytes]) -> bytes:
    """An artefact whose first page has another header."""
    data = parquet_files()[1]
    chunk = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(0)
    at = chunk.dictionary_page_offset or chunk.data_page_offset
    header = data[at : at + 32]
    return data[:at] + change(header)[:32] + data[at + 32 :]


def negative_size() -> bytes:
    # Field 1, the kind of page; field 2, its size, in zigzag: an odd number is below zero.
    return with_first_page(lambda header: header[:2] + header[2:3] + bytes([header[3] | 1]) + header[4:])


def unknown_kind_of_page() -> bytes:
    return with_first_page(lambda header: header[:1] + b"\x7e" + header[2:])


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (zeros_in_one_page, "its row group 1 is larger than"),
        (one_text_many_times, "the texts of its column page_text take more than"),
        (many_rows, "it has 50001 rows"),
        (many_columns, "it has 1503 columns"),
        (many_values_in_one_row, "its row group 1 has more than"),
        (texts_that_repeat_each_other, "DELTA_BYTE_ARRAY"),
        (encrypted, "it is encrypted"),
        (footer_of_gigabytes, "its footer has 2147483648 bytes"),
        (long_metadata, "its footer has"),
        (negative_size, "a size or place in it is -28"),
        (unknown_kind_of_page, "is of the kind 63"),
    ],
)
def test_a_file_that_is_made_to_do_harm_is_broken(make: Callable[[], bytes], told: str) -> None:
    artefacts, success = stored_parquet(make())
    before = pa.total_allocated_bytes()
    with pytest.raises(StorageError, match=told) as caught:
        list(artefacts.row_batches(success))
    assert caught.value.code == "E_ARTEFACT_BROKEN"
    assert success.files[0].key in caught.value.message
    assert pa.total_allocated_bytes() - before < MOST_TAKEN
    artefacts.inspect(success.files[0])
    artefacts.verify(success, 1)


def test_the_headers_of_pages_count_and_not_what_the_footer_says() -> None:
    data = zeros_in_one_page()
    told = pq.ParquetFile(io.BytesIO(data)).metadata.row_group(0).column(3).total_uncompressed_size
    large = _varint(2 * told)
    assert data.count(large) > 0
    lying = data.replace(large, _varint(2 * 100, len(large)))
    with pytest.raises(BrokenParquet, match="larger than"), reading():
        to_be_read(io.BytesIO(lying), len(lying))


def _varint(number: int, length: int = 0) -> bytes:
    """Write a number as Thrift does, in so many bytes at least."""
    found = bytearray()
    while number > 127 or len(found) < length - 1:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def test_columns_that_are_not_asked_for_are_not_looked_at() -> None:
    artefacts, success = stored_parquet(one_text_many_times())
    ours = replace(success, mark=Mark(FORMAT))
    assert sum(batch.num_rows for batch in artefacts.row_batches(ours, ["ok"])) == 20_000


def test_usual_files_are_read_as_before(tmp_path: Path) -> None:
    for options in (
        {},
        {"use_dictionary": False},
        {"data_page_version": "2.0"},
        {"compression": "snappy"},
        {"compression": "lz4"},
    ):
        texts = [f"text {number % 7}" for number in range(2000)]
        table = pa.table({**ledger(2000), "page_text": texts, "line_texts": [[text, text] for text in texts]})
        artefacts, success = stored_parquet(written(table, row_group_size=300, **options))
        assert artefacts.read_rows(success)["page_text"].to_pylist() == texts


def test_a_table_that_would_take_all_memory_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_TABLE_BYTES", 100)
    artefacts, success = stored_parquet(parquet_files()[0])
    with pytest.raises(StorageError, match="has more than 100 bytes of rows"):
        artefacts.read_rows(success)


@pytest.mark.parametrize(
    "data",
    [
        b" " * MOST_BYTES + b"{}",
        b'{"format": 1, "inputs": ' + b"[" * 100_000,
        b'{"attempt": ' + b"9" * 5000 + b"}",
        b'{"format": 1, "files": [], "pages": {"ok": 1e300, "skipped": 0, "error": 0}}',
        b'{"format": 1, "files": [], "pages": {"ok": -1, "skipped": 0, "error": 0}}',
        b'{"task": "1", "task": "2"}',
        b'{"inputs": {"a": "1", "a": "2"}}',
    ],
)
def test_a_success_json_that_is_made_to_do_harm_is_broken(data: bytes) -> None:
    _, success = stored_parquet(b"")
    key = success_key(success.location)
    objects = Stores().open("memory://success")
    objects.delete([key])
    objects.create(key, data)
    with pytest.raises(TerminalError, match="cannot be read as a success") as caught:
        StoredArtefacts(objects, Path("nowhere"), owner()).success(success.location)
    assert caught.value.code == "E_ARTEFACT_BROKEN"
