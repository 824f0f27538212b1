"""What a file is by its first bytes, whatever its name says."""

READ = 1024
"""As many bytes from the beginning of a file tell what it is."""
PDF = b"%PDF-"
"""What a PDF begins with; readers let up to 1,024 bytes stand before it (ISO 32000-1, Annex H)."""

_PICTURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"II+\x00", "tiff"),
    (b"MM\x00+", "tiff"),
    (b"\x00\x00\x00\x0cjP  ", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
)
_NAMES = {"jpeg": "JPEG", "jpeg2000": "JPEG 2000", "webp": "WebP", "heif": "HEIC or AVIF"}
_WEB = (b"<!doctype html", b"<html", b"<?xml")
# Sizes of the second header of a BMP, which make sure that a text does not merely begin with "BM".
_BMP_HEADERS = frozenset({12, 40, 52, 56, 64, 108, 124})
# Brands of ISO BMFF files that hold pictures (ISO/IEC 23008-12, AV1 Image File Format): others are films.
_PICTURE_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis"})


def picture_format(data: bytes) -> str | None:
    """Return the format of a picture of a kind that is read, `heif` for whatever has such boxes; None: it is none."""
    for magic, name in _PICTURES:
        if data.startswith(magic):
            return name
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    return "heif" if data[4:8] == b"ftyp" else None


def page_kind(data: bytes) -> str | None:
    """Return what a file is that has pages, for people: `a PDF`, `a picture (JPEG)`; None: it has none."""
    if data.startswith(PDF):
        return "a PDF"
    name = picture_format(data)
    is_other = (name == "bmp" and int.from_bytes(data[14:18], "little") not in _BMP_HEADERS) or (
        name == "heif" and data[8:12] not in _PICTURE_BRANDS
    )
    return None if name is None or is_other else f"a picture ({_NAMES.get(name, name.upper())})"


def looks_like(data: bytes) -> str:
    """Return what a file looks like that is not what it should be: the end of a sentence."""
    start = data[:READ].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"%pdf"):
        return "it begins like a PDF"
    if start.startswith(_WEB):
        return "it begins like a web page or XML"
    if not data.strip(b"\x00"):
        return "it holds only zeros"
    kind = page_kind(data)
    return f"it begins like {kind}" if kind else f"it begins with the bytes {data[:8].hex(' ')}"
