"""Bounds on what a Parquet file may make of its bytes, seen before any of it is decoded.

A few bytes can stand for gigabytes: zeros under zstd, a run length of two thousand million, a dictionary whose one long
text is named a million times. The footer says how large everything is, and may lie; pyarrow allocates what the headers
of the pages say. So these headers are read first: a small struct in Thrift's compact form before each page. Where the
pages are is read from the footer in the same way: pyarrow, asked for that, ends the process where it is damaged.
"""

import io
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

MOST_FOOTER_BYTES = 16 * 2**20
"""The footer of an artefact of 40,000 pages has some 300 KB."""
MOST_CHUNKS = 200_000
MOST_PAGES = 500_000
MOST_COLUMNS = 1000
MOST_ROWS = 1_000_000
"""Volumes of the library have up to some thousand pages."""
MOST_GROUP_BYTES = 2**30
"""Of one row group, inflated; 512 pages with contours take some 25 MB."""
MOST_GROUP_VALUES = 2**26
MOST_TEXT_BYTES = 2**31
"""Of the texts of one column of one row group, each counted where it stands."""
_MOST_DICTIONARY_BYTES = 16 * 2**20
_TAIL = 8
_HEADER_BYTES = 64 * 1024
_LENGTH = struct.Struct("<I")
"""Stands before each text of a dictionary."""
_DATA_PAGE, _DICTIONARY_PAGE, _DATA_PAGE_V2 = 0, 2, 3
_DELTA_BYTE_ARRAY = 7
"""An encoding in which each text repeats the one before; nothing here writes it."""
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12
"""Kinds of fields in Thrift's compact form."""
_MOST = {_I32: 2**31 - 1, _I64: 2**63 - 1}
_MOST_FIELDS = 2**15 - 1
_MOST_STRUCTS = 2**18
_CODECS: dict[int, Literal["snappy", "gzip", "brotli", "lz4_raw", "zstd"]] = {
    1: "snappy",
    2: "gzip",
    4: "brotli",
    5: "lz4_raw",
    6: "zstd",
    7: "lz4_raw",
}
"""Compression by its number in parquet.thrift; 0 is none."""
_DETAILS = {_DATA_PAGE: (5, 2), _DICTIONARY_PAGE: (7, 2), _DATA_PAGE_V2: (8, 4)}
"""Where a page's header describes its values, by kind: the field, and in it that of the encoding; the first counts."""


def check_footer(file: IO[bytes], size: int) -> None:
    """See that a footer is small enough to be read.

    Raises:
        ValueError: it is not, or the file is encrypted.
    """
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    file.seek(0)
    if tail[4:] == b"PARE":
        raise ValueError("it is encrypted")
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] == b"PAR1" and length > min(MOST_FOOTER_BYTES, size):
        raise ValueError(f"its footer has {length} bytes")


def check_sizes(parquet: pq.ParquetFile, file: IO[bytes], columns: Sequence[str] | None) -> None:
    """See that nothing in some columns of a file, or in all, is larger than any artefact is.

    Raises:
        ValueError, LookupError, pa.ArrowException: something is, or is not a page of Parquet.
    """
    found = parquet.metadata
    if found.num_columns > MOST_COLUMNS or found.num_columns * found.num_row_groups > MOST_CHUNKS:
        raise ValueError(f"it has {found.num_columns} columns in {found.num_row_groups} groups")
    if not 0 <= found.num_rows <= MOST_ROWS:
        raise ValueError(f"it has {found.num_rows} rows")
    schema = [parquet.schema.column(place) for place in range(found.num_columns)]
    seen = 0
    for number, group in enumerate(_row_groups(file)):
        chunks = (_chunk(one, leaf.path, leaf.physical_type) for one, leaf in zip(group, schema, strict=True))
        wanted = (chunk for chunk in chunks if columns is None or chunk.path.split(".")[0] in columns)
        size = values = 0
        for page in chain.from_iterable(_pages(file, chunk) for chunk in wanted):
            seen += 1
            size += page.size
            values += page.values
            if size > MOST_GROUP_BYTES:
                raise ValueError(f"its row group {number + 1} is larger than {MOST_GROUP_BYTES} bytes")
            if values > MOST_GROUP_VALUES:
                raise ValueError(f"its row group {number + 1} has more than {MOST_GROUP_VALUES} values")
            if seen > MOST_PAGES:
                raise ValueError(f"it has more than {MOST_PAGES} pages")


_Fields = Mapping[tuple[int, int], Any]
"""A Thrift struct: a field is identified by its number and kind, and one of another kind is not that field."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The pages of one column in one row group: where they begin and end."""

    path: str
    physical_type: str
    codec: int
    start: int
    end: int


def _row_groups(file: IO[bytes]) -> Iterator[Sequence[_Fields]]:
    """Return the column chunks of each row group, as the footer has them (FileMetaData of parquet.thrift)."""
    end = file.seek(-_TAIL, io.SEEK_END)
    length = int.from_bytes(file.read(4), "little")
    file.seek(end - length)
    for group in _parts(_Thrift(file.read(length)).struct(), 4):
        yield _parts(group, 1)


def _parts(fields: _Fields, number: int) -> Sequence[_Fields]:
    found: Sequence[_Fields] | None = fields[number, _LIST]
    if found is None:
        raise ValueError("a list of its footer holds something else than Parquet has there")
    return found


def _chunk(fields: _Fields, path: str, physical_type: str) -> _Chunk:
    found = fields[3, _STRUCT]
    start = _number(found, 9, _I64)
    dictionary = _number(found, 11, _I64) if (11, _I64) in found else 0
    if 0 < dictionary < start:
        start = dictionary
    return _Chunk(path, physical_type, _number(found, 4), start, start + _number(found, 7, _I64))


@dataclass(frozen=True, slots=True)
class _Page:
    """A page by its header: where its bytes begin, and how many they are, packed and inflated."""

    kind: int
    start: int
    packed: int
    size: int
    values: int


def _pages(file: IO[bytes], chunk: _Chunk) -> Iterator[_Page]:
    """Return the pages of a column chunk, each once it was found to be bearable."""
    at = chunk.start
    longest = 0
    values = 0
    while at < chunk.end:
        page = _page(file, at)
        if page.kind == _DICTIONARY_PAGE and chunk.physical_type == "BYTE_ARRAY":
            longest = _longest_text(file, page, chunk.codec)
        elif page.kind != _DICTIONARY_PAGE:
            values += page.values
        if values * longest > MOST_TEXT_BYTES:
            raise ValueError(f"the texts of its column {chunk.path} take more than {MOST_TEXT_BYTES} bytes")
        yield page
        at = page.start + page.packed


def _page(file: IO[bytes], at: int) -> _Page:
    file.seek(at)
    header = _Thrift(file.read(_HEADER_BYTES))
    fields = header.struct()
    kind, size, packed = (_number(fields, number) for number in (1, 2, 3))
    if kind not in _DETAILS:
        raise ValueError(f"a page of it is of the kind {kind}")
    field, encoding = _DETAILS[kind]
    details = fields[field, _STRUCT]
    if details.get((encoding, _I32)) == _DELTA_BYTE_ARRAY:
        raise ValueError("it has texts that repeat each other (DELTA_BYTE_ARRAY)")
    return _Page(kind, at + header.at, packed, size, _number(details, 1))


def _number(fields: _Fields, number: int, kind: int = _I32) -> int:
    found = fields[number, kind]
    if not 0 <= found <= _MOST[kind]:
        raise ValueError(f"a size or place in it is {found}")
    return int(found)


def _longest_text(file: IO[bytes], page: _Page, codec: int) -> int:
    if page.size > _MOST_DICTIONARY_BYTES or page.packed > _MOST_DICTIONARY_BYTES:
        raise ValueError(f"it has a dictionary of {page.size} bytes")
    file.seek(page.start)
    data = file.read(page.packed)
    if codec:
        data = pa.Codec(_CODECS[codec]).decompress(data, page.size, asbytes=True)
    at = longest = 0
    while at < len(data):
        if at + _LENGTH.size > len(data):
            raise ValueError("a dictionary of it is cut")
        (length,) = _LENGTH.unpack_from(data, at)
        longest = max(longest, length)
        at += _LENGTH.size + length
    return longest


class _Thrift:
    """Reads structs in Thrift's compact form, as far as Parquet has them.

    Attributes:
        at: bytes read so far.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._structs = 0
        self.at = 0

    def struct(self) -> dict[tuple[int, int], Any]:
        """Read the fields of a struct, by number and kind. Texts, and lists of other things than structs, are None."""
        self._structs += 1
        if self._structs > _MOST_STRUCTS:
            raise ValueError(f"its footer has more than {_MOST_STRUCTS} parts")
        fields: dict[tuple[int, int], Any] = {}
        number = 0
        while head := self._next():
            number = number + (head >> 4) if head >> 4 else self._signed()
            kind = head & 15
            if (number, kind) in fields or not 0 <= number <= _MOST_FIELDS:
                raise ValueError("a part of its footer, or the header of a page, is not a struct of Parquet")
            fields[number, kind] = self._value(kind)
        return fields

    def _value(self, kind: int) -> Any:
        if kind in {_TRUE, _FALSE}:
            return kind == _TRUE
        if kind in {_I16, _I32, _I64}:
            return self._signed()
        if kind == _STRUCT:
            return self.struct()
        if kind in {_LIST, _SET}:
            return self._list()
        skipped = {_BYTE: 1, _DOUBLE: 8}.get(kind)
        if skipped is None and kind != _BINARY:
            raise ValueError(f"a part of its footer, or the header of a page, has a field of the kind {kind}")
        length = self._unsigned() if skipped is None else skipped
        self.at += length
        return None

    def _list(self) -> list[Any] | None:
        head = self._next()
        length, kind = head >> 4, head & 15
        if length == 15:  # noqa: PLR2004  (as many as fit, so that the number follows)
            length = self._unsigned()
        if length > len(self._data) - self.at:
            raise ValueError("a list of its footer is cut")
        if kind == _STRUCT or length == 0:
            return [self.struct() for _ in range(length)]
        for _ in range(length):
            # In a list each truth value takes a byte.
            self._value(_BYTE if kind in {_TRUE, _FALSE} else kind)
        return None

    def _next(self) -> int:
        byte = self._data[self.at]
        self.at += 1
        return byte

    def _unsigned(self) -> int:
        found = 0
        for shift in range(0, 70, 7):
            byte = self._next()
            found |= (byte & 127) << shift
            if byte < 128:  # noqa: PLR2004  (the bit that says that more follow)
                return found
        raise ValueError("a number of it has more than 64 bits")

    def _signed(self) -> int:
        found = self._unsigned()
        return (found >> 1) ^ -(found & 1)
