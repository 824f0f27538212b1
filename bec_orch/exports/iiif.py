"""IIIF Presentation 3 (https://iiif.io/api/presentation/3.0/): a manifest of canvases with their lines as annotations.

A line is an annotation, in reading order: one that was read has the motivation `supplementing` and its text, any other
`tagging` and its kind. Identifiers are URLs below the one at which the documents will be served.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from bec_orch.core.transcripts import Line, Origin, PageRecord
from bec_orch.exports.characters import line_text
from bec_orch.exports.formats import Format, Level, Material
from bec_orch.exports.regions import page_size

_CONTEXT = "http://iiif.io/api/presentation/3/context.json"
_WITHOUT_SIZE = 1000
"""A canvas must have a size; that of a page whose image nobody can read is square."""
_MEDIA_TYPES = {
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "png": "image/png",
    "tif": "image/tiff",
    "tiff": "image/tiff",
}


def manifest(pages: Iterable[PageRecord], origin: Origin, material: Material) -> Iterator[bytes]:
    """Write a volume as a manifest, a canvas at a time."""
    head = {
        "@context": _CONTEXT,
        "id": f"{_base(origin, material)}/{_quoted(origin.volume.w_id)}-{_quoted(origin.volume.i_id)}.json",
        "type": "Manifest",
        "label": {"none": [str(origin.volume)]},
        "metadata": _metadata(origin),
    }
    if material.note:
        head["summary"] = {"en": [material.note]}
    yield f'{_json(head)[:-1]}, "items": ['.encode()
    for place, page in enumerate(pages):
        yield f"{',' if place else ''}\n{_json(_canvas(page, origin, material))}".encode()
    yield b"\n]}\n"


def annotation_pages(pages: Iterable[PageRecord], origin: Origin, material: Material) -> Iterator[bytes]:
    """Write the lines of each page as an annotation page of its own."""
    for page in pages:
        yield f"{_json({'@context': _CONTEXT, **_annotations(page, origin, material)})}\n".encode()


def _canvas(page: PageRecord, origin: Origin, material: Material) -> dict[str, Any]:
    canvas = _canvas_id(page, origin, material)
    width, height = (side or _WITHOUT_SIZE for side in page_size(page.content))
    described: dict[str, Any] = {"id": canvas, "type": "Canvas", "label": {"none": [str(page.index + 1)]}}
    if page.note:
        described["summary"] = {"none": [page.note]}
    painted = {
        "id": f"{canvas}/picture",
        "type": "Annotation",
        "motivation": "painting",
        "body": _image(page, origin, material, (width, height)),
        "target": canvas,
    }
    return {
        **described,
        "width": width,
        "height": height,
        "items": [{"id": f"{canvas}/pictures", "type": "AnnotationPage", "items": [painted]}],
        "annotations": [_annotations(page, origin, material)],
    }


def _image(page: PageRecord, origin: Origin, material: Material, size: tuple[int, int]) -> dict[str, Any]:
    media_type = _MEDIA_TYPES.get(page.image.rpartition(".")[2].lower())
    url = _filled_in(material.image_url, page, origin)
    described: dict[str, Any] = {"id": url, "type": "Image", "width": size[0], "height": size[1]}
    if material.image_service:
        service = _filled_in(material.image_service, page, origin)
        described["format"] = "image/jpeg"
        described["service"] = [{"id": service, "type": "ImageService3", "profile": "level1"}]
    elif media_type:
        described["format"] = media_type
    return described


def _filled_in(url: str, page: PageRecord, origin: Origin) -> str:
    named = {"w_id": origin.volume.w_id, "i_id": origin.volume.i_id, "file": page.image}
    for field, value in named.items():
        url = url.replace(f"{{{field}}}", _quoted(value))
    return url


def _annotations(page: PageRecord, origin: Origin, material: Material) -> dict[str, Any]:
    canvas = _canvas_id(page, origin, material)
    return {
        "id": f"{canvas}/lines",
        "type": "AnnotationPage",
        "label": {"none": [f"Lines of page {page.index + 1}"]},
        "items": [
            _supplementing(canvas, place, line) if line.text else _tagging(canvas, place, line)
            for place, line in enumerate(page.content.lines, start=1)
            if line.text or line.polygon
        ],
    }


def _supplementing(canvas: str, place: int, line: Line) -> Mapping[str, Any]:
    return {
        "id": f"{canvas}/lines/{place}",
        "type": "Annotation",
        "motivation": "supplementing",
        "body": {"type": "TextualBody", "value": line_text(line.text or ""), "format": "text/plain"},
        # A line whose place is not known is one of the page.
        "target": f"{canvas}#{_box(line)}" if line.polygon else canvas,
    }


def _tagging(canvas: str, place: int, line: Line) -> Mapping[str, Any]:
    """Return a line that nobody read: its outline, as the Web Annotation Data Model has it (4.2.7 and 4.2.1)."""
    path = "L".join(f"{x},{y}" for x, y in line.polygon)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><path d="M{path}Z"/></svg>'
    fragment = {"type": "FragmentSelector", "conformsTo": "http://www.w3.org/TR/media-frags/", "value": _box(line)}
    return {
        "id": f"{canvas}/lines/{place}",
        "type": "Annotation",
        "motivation": "tagging",
        "body": {"type": "TextualBody", "value": f"{place}: {line.kind}", "format": "text/plain"},
        "target": {
            "type": "SpecificResource",
            "source": canvas,
            "selector": [{"type": "SvgSelector", "value": svg}, fragment],
        },
    }


def _box(line: Line) -> str:
    return f"xywh={','.join(map(str, line.box))}"


def _metadata(origin: Origin) -> list[Mapping[str, Any]]:
    return [{"label": {"en": [name]}, "value": {"none": [value]}} for name, value in origin.facts()]


def _base(origin: Origin, material: Material) -> str:
    return f"{material.base_url}/{_quoted(origin.volume.w_id)}/{_quoted(origin.volume.i_id)}"


def _canvas_id(page: PageRecord, origin: Origin, material: Material) -> str:
    return f"{_base(origin, material)}/canvas/{page.index + 1}"


def _quoted(name: str) -> str:
    return quote(name.encode(errors="surrogateescape"), safe="")


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


_WANTS = ("base_url", "image_url")
IIIF = Format(".json", {Level.VOLUME: manifest, Level.PAGE: annotation_pages}, wants_sizes=True, wants=_WANTS)
