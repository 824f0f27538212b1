"""What is fuzzed: each target takes any bytes, and may answer only with what it promises."""

import gzip
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from bec_orch.core.artefacts import ArtefactFile, ArtefactLocation, Success
from bec_orch.core.messages import parse_message
from bec_orch.core.names import check_name
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import BecError, ManifestError, NameUnsafeError, PageError, StorageError, TerminalError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.artefacts.success_json import parse, success_key
from bec_orch.io.sources.bdrc_manifest import parse_dimensions
from bec_orch.io.sources.pages import MAX_FILENAME_BYTES
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.images import decode, probe
from bec_orch.jobs.ldv1.worker import SCHEMA
from tests.fuzz import sources
from tests.support.owners import owner
from tests.unit import image_bytes as made

CORPUS = Path(__file__).parent / "corpus"
LOCATION = ArtefactLocation("lines", VolumeRef("W1", "I1", "s"), "abcdef")
MOST_PIXELS = 4_000_000
MOST_LETTERS = 1000
INSIDE = re.compile(r"0x[0-9a-f]{6,}|object at|dict_keys|\bb'|Traceback|/tmp/")
# What only a decoder that went wrong says; the first three are those of a process that had to be ended.
WRONG = {"E_PAGE_CRASH", "E_PAGE_MEMORY", "E_PAGE_TIMEOUT", "E_PAGE_UNEXPECTED"}


@dataclass(frozen=True, slots=True)
class Target:
    """One target.

    Attributes:
        name: what it is called, and its folder of kept inputs.
        made: makes inputs that would be large as files.
        tokens: words of its format.
        check: gives it an input; raises whatever it should not have raised.
    """

    name: str
    made: Callable[[], Sequence[bytes]]
    tokens: Sequence[bytes]
    check: Callable[[bytes], object]

    def kept(self) -> list[bytes]:
        """Read the kept inputs: small ones to begin with, and those that were found to do harm once."""
        return [path.read_bytes() for path in sorted((CORPUS / self.name).glob("*"))]

    def corpus(self) -> list[bytes]:
        """Return all inputs to begin with."""
        return [*self.kept(), *self.made()]


def check_manifest(data: bytes) -> None:
    for stored in (data, gzip.compress(data, 1)):
        try:
            pages = parse_dimensions(stored, "dimensions.json")
        except ManifestError as error:
            assert_told(error)
        else:
            names = [check_name("page", page.filename, max_bytes=MAX_FILENAME_BYTES) for page in pages]
            assert len(set(names)) == len(names) > 0
            assert [page.index for page in pages] == list(range(len(pages)))


def check_message(data: bytes) -> None:
    try:
        volume = parse_message(data.decode("utf-8", "replace"), "lines", "folder+file:///scans")
    except (TerminalError, NameUnsafeError) as error:
        assert_told(error)
    else:
        assert check_name("work", volume.w_id)
        assert check_name("volume", volume.i_id)
        assert volume.source


def check_image(data: bytes) -> None:
    try:
        header = probe(data, max_pixels=MOST_PIXELS)
        image = decode(data, header)
    except PageError as error:
        if error.code in WRONG:
            raise
        assert_told(error)
    else:
        assert image.shape[:2] == (header.height, header.width)


def check_success(data: bytes) -> None:
    try:
        success = parse(data, "etag", LOCATION)
    except TerminalError as error:
        assert_told(error)
    else:
        assert all(file.key.startswith(f"{LOCATION.prefix}/") for file in success.files)
        texts = (success.manifest_etag, success.config_hash, success.task_uid, success.code_version)
        assert all(isinstance(text, str | None) for text in texts)
        assert all(isinstance(text, str) for model in success.models for text in (model.name, model.digest))
        assert isinstance(success.attempt, int | None)


def check_parquet(data: bytes) -> None:
    artefacts, success = stored_parquet(data)
    artefacts.verify(success, 3)
    artefacts.inspect(success.files[0])
    try:
        rows = artefacts.read_rows(success)
    except StorageError as error:
        assert_told(error)
    else:
        rows.to_pylist()


def stored_parquet(data: bytes) -> tuple[StoredArtefacts, Success]:
    """Lay a Parquet file where a reader of artefacts looks for it; its `success.json` is of the older layout."""
    objects = Stores().open("memory://fuzz")
    file = ArtefactFile(f"{LOCATION.prefix}/{LOCATION.stem}.parquet", 0, "", 0)
    for key, content in ((success_key(LOCATION), b"{}"), (file.key, data)):
        objects.delete([key])
        objects.create(key, content)
    artefacts = StoredArtefacts(objects, Path("nowhere"), owner())
    found = artefacts.success(LOCATION)
    assert found
    return artefacts, found


def assert_told(error: BecError) -> None:
    """See that an error is one sentence with a code. It may name what the input holds, whatever that is."""
    assert error.code.startswith("E_")
    assert is_line(error.message), error.message


def is_line(message: str) -> bool:
    """Return whether a message is one printable line that ends with a full stop."""
    return message.endswith(".") and message.isprintable() and len(message) <= MOST_LETTERS


def is_sentence(message: str) -> bool:
    """Return whether a message is one printable line with one full stop, and nothing of the inside of a program."""
    twice = message.endswith((". .", "..", "!.", "?.", ":.", ",."))
    return is_line(message) and not twice and not INSIDE.search(message)


@cache
def images() -> tuple[bytes, ...]:
    """The kinds of seeds of the list, small enough to be decoded thousands of times."""
    return (
        made.jpeg(),
        made.jpeg(made.grey_image(), progressive=True),
        made.png(made.colour_image().quantize(64)),
        made.group4(),
        made.tiff(made.colour_image(), compression="tiff_lzw"),
        made.tiff(made.colour_image(), compression="jpeg"),
        *more_images(),
    )


@cache
def more_images() -> tuple[bytes, ...]:
    """Seeds of the formats that scanners seldom write, HEIC where it is read."""
    colour = made.colour_image()
    return (
        made.encoded(colour, "JPEG2000", irreversible=True, quality_mode="dB", quality_layers=[35]),
        made.encoded(colour, "JPEG2000", no_jp2=True, tile_size=(64, 64)),
        made.encoded(colour, "WEBP"),
        made.encoded(colour, "WEBP", lossless=True),
        made.encoded(colour.quantize(64), "GIF"),
        made.encoded(colour, "BMP"),
        made.encoded(colour, "AVIF", speed=10),
        *((made.heic(colour),) if made.HEIF_IS_READ else ()),
    )


@cache
def parquet_files() -> tuple[bytes, ...]:
    """An artefact of three pages as it is stored, and the same without compression, where changes reach the values."""
    point = [{"x": 1, "y": 2}, {"x": 30, "y": 40}]
    row = {
        "img_file_name": "1.jpg",
        "source_etag": "etag",
        "width": 100,
        "height": 50,
        "tps_points": [[1.0, 2.0, 3.0, 4.0]],
        "contours": [point, point],
        "contours_bboxes": [{"x": 1, "y": 2, "w": 29, "h": 38}],
        "line_ids": [0, 1],
        "scores": [0.5, 0.25],
        "ok": True,
        "skipped": False,
    }
    schema = pa.schema([("img_file_name", pa.string()), ("source_etag", pa.string()), *SCHEMA])
    schema = schema.append(pa.field("ok", pa.bool_())).append(pa.field("skipped", pa.bool_()))
    table = pa.Table.from_pylist([{**row, "img_file_name": f"{number}.jpg"} for number in range(3)], schema)
    return (_written(table, "zstd"), _written(table, "none"))


def _written(table: pa.Table, compression: Literal["zstd", "none"]) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, compression=compression)
    return file.getvalue()


def nothing() -> Sequence[bytes]:
    """All inputs of this target are kept ones."""
    return ()


_JSON = (
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b'""',
    b'"\\u0000"',
    b'"\\ud800"',
    b"9" * 50,
)
_JPEG = (b"\xff\xd8\xff", b"\xff\xd9", b"\xff\xda", b"\xff\xc0", b"\xff\xc2", b"\xff\xdd", b"\xff\xee\0\x0eAdobe")
_PNG = (b"IHDR", b"IDAT", b"IEND", b"tRNS", b"PLTE")
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"\x11\x01\x04\0", b"\x17\x01\x04\0", b"\x02\x01\x03\0", b"\x03\x01\x03\0")
_MORE = (
    *(b"\xff\x4f\xff\x51", b"\xff\x90", b"\xff\x93", b"\xff\xd9", b"\xff\x52", b"jP  ", b"jp2c", b"pclr"),
    *(
        b"RIFF",
        b"WEBPVP8 ",
        b"VP8L",
        b"VP8X",
        b"ANMF",
        b"GIF89a",
        b"\x2c",
        b"\x3b",
        b"BM",
        b"ftypavif",
        b"ispe",
        b"irot",
    ),
)
_PARQUET = (b"PAR1", b"\x15\x00", b"\x15\xfe\xff\xff\xff\x0f", b"\0" * 8)

TARGETS = {
    target.name: target
    for target in (
        Target("manifest", nothing, (*_JSON, b'"filename"', b'"../x.jpg"', b"\x1f\x8b"), check_manifest),
        Target("message", nothing, (*_JSON, b'"w_id"', b'"i_id"', b'"job"', b'"source"', b'"../x"'), check_message),
        Target("image", images, (*_JPEG, *_PNG, *_TIFF, *_MORE), check_image),
        Target("success", nothing, (*_JSON, b'"files"', b'"key"', b'"pages"', b'"models"', b'"inputs"'), check_success),
        Target("parquet", parquet_files, _PARQUET, check_parquet),
        Target("iiif", sources.iiif_documents, (*_JSON, *sources.IIIF), sources.check_iiif),
        Target("mets", sources.mets_documents, sources.XML, sources.check_mets),
        Target("pdf", sources.pdf_files, sources.PDF, sources.check_pdf),
    )
}
