"""Plain text, and JSON lines."""

import json
import re
from collections.abc import Iterable, Iterator

from bec_orch.core.transcripts import MAIN, Origin, PageRecord
from bec_orch.exports.characters import line_text
from bec_orch.exports.formats import Format, Level, Material

PAGE_BREAK = "\f\n"
"""Between the pages of a volume (ASCII form feed, as `pdftotext` and Tesseract write it)."""


def plain_text(pages: Iterable[PageRecord], _origin: Origin, _material: Material) -> Iterator[bytes]:
    """Write the main text of pages, line by line, with form feeds between. Heads, margins and notes are left out."""
    for number, page in enumerate(pages):
        read = [line.text for line in page.content.lines if line.kind == MAIN and line.text is not None]
        lines = (line_text(text) for text in read)
        text = "".join(f"{line}\n" for line in lines)
        yield f"{PAGE_BREAK if number else ''}{text}".encode()


def json_lines(pages: Iterable[PageRecord], origin: Origin, _material: Material) -> Iterator[bytes]:
    """Write one JSON object per page; the first line describes the volume and how it was made."""
    head = {"w_id": origin.volume.w_id, "i_id": origin.volume.i_id, "made_with": dict(_grouped(origin))}
    yield _json_line(head)
    for page in pages:
        yield _json_line(_page_object(page))


def _grouped(origin: Origin) -> Iterator[tuple[str, str | list[str]]]:
    facts = origin.facts()
    yield from ((name, value) for name, value in facts if name != "model")
    yield "models", [value for name, value in facts if name == "model"]


def _page_object(page: PageRecord) -> dict[str, object]:
    width, height = page.content.size or (None, None)
    return {
        "page": page.index + 1,
        "image": page.image,
        "note": page.note or None,
        "width": width,
        "height": height,
        "rotation": page.content.rotation,
        "lines": [
            {
                "text": line.text,
                "confidence": line.confidence,
                "kind": line.kind,
                "polygon": line.polygon,
                "baseline": line.baseline,
            }
            for line in page.content.lines
        ],
    }


def _json_line(value: object) -> bytes:
    # Names of files may hold halves of surrogates: UTF-8 has no bytes for them, and JSON writes them as Python does.
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    # Some readers take these for ends of lines.
    text = re.sub("[\u0085\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text)
    return f"{text}\n".encode(errors="backslashreplace")


TXT = Format(".txt", {Level.VOLUME: plain_text, Level.PAGE: plain_text}, text_alone=True)
JSONL = Format(".jsonl", {Level.VOLUME: json_lines, Level.PAGE: json_lines})
