"""Reads documents of the IIIF Presentation API, versions 2 and 3: manifests and collections, which may be hostile.

Of a manifest, its canvases count, in order, each with the address of its picture: in full size through the Image API
where a service is named (https://iiif.io/api/image/3.0/), else the file that the canvas shows. Where several pictures
make up a canvas, or may be chosen from, the first one is it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bec_orch.core.first_bytes import looks_like
from bec_orch.core.wording import clause, said
from bec_orch.errors import ServerRefused
from bec_orch.io.servers.addresses import plain_url
from bec_orch.io.sources.pages import refused

MAX_BYTES = 64 * 2**20
"""A manifest of 5,000 canvases with services takes some 10 MB."""
MAX_VALUES = 4_000_000
MAX_CANVASES = 50_000
MAX_ENTRIES = 100_000
"""The most that a collection may list."""

_FULL = {1: "full/full/0/native.jpg", 2: "full/full/0/default.jpg", 3: "full/max/0/default.jpg"}
_LARGEST = "full/max/0/default.jpg"
_PAINTING = frozenset({"painting", "sc:painting", "oa:painting"})
_MEMBERS = ("items", "manifests", "collections", "members")


@dataclass(frozen=True, slots=True)
class Canvas:
    """A canvas of a manifest: its own name, and where its picture is had, the best first; nowhere: it has none.

    `refused` is what it names in place of an address that can be asked; it is no part of the version.
    """

    name: str
    images: tuple[str, ...]
    refused: str = ""

    @property
    def etag(self) -> str:
        """The version of its picture: a digest over its name and the addresses, as servers seldom tell another."""
        return hashlib.sha256(json.dumps([self.name, *self.images]).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """What a collection lists: a manifest, or another collection, at an address."""

    url: str
    is_collection: bool


@dataclass(frozen=True, slots=True)
class Presentation:
    """A manifest with its canvases, or a collection with what it lists.

    `unread` counts entries of a collection without an address that can be asked.
    """

    is_collection: bool
    canvases: tuple[Canvas, ...] = ()
    entries: tuple[Entry, ...] = ()
    unread: int = 0

    @property
    def etag(self) -> str:
        """The version of a manifest: a digest over its canvases and the addresses of their pictures."""
        digest = hashlib.sha256()
        for canvas in self.canvases:
            digest.update(canvas.etag.encode())
        return digest.hexdigest()


def read_presentation(data: bytes, subject: str) -> Presentation:
    """Read a document; `subject` begins the sentence of an error.

    Raises:
        ManifestError: it is no JSON, too large, or neither manifest nor collection (E_IIIF).
    """
    document = _parsed(data, subject)
    kind = _kind(document)
    if kind == "collection":
        return _collection(document, subject)
    if kind != "manifest":
        raise refused(subject, "is neither a IIIF manifest nor a collection", "E_IIIF", _HINT)
    canvases = tuple(_canvas(canvas) for canvas in _canvases(document))
    if len(canvases) > MAX_CANVASES:
        raise refused(subject, f"has {len(canvases)} canvases, and {MAX_CANVASES} are allowed", "E_IIIF", _HINT)
    return Presentation(is_collection=False, canvases=canvases)


_HINT = "See in a browser what lies there: it has to be a manifest or a collection of the Presentation API 2 or 3."


def _parsed(data: bytes, subject: str) -> Mapping[str, Any]:
    if data.count(b",") > MAX_VALUES:
        raise refused(subject, f"has more than {MAX_VALUES} values", "E_MANIFEST_TOO_LARGE", _HINT)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        # Mostly the page of a viewer, whose address was taken for that of its manifest.
        why = looks_like(data) if data.lstrip()[:1] == b"<" else _why_no_json(error)
        raise refused(subject, f"is not JSON: {why}", "E_MANIFEST_JSON", _HINT) from error
    if not isinstance(document, dict):
        raise refused(subject, "is no JSON object", "E_IIIF", _HINT)
    return document


def _why_no_json(error: ValueError | RecursionError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{clause(error.msg)} in line {error.lineno}, column {error.colno}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return "it is no Unicode text" if isinstance(error, UnicodeDecodeError) else said(error)


def _collection(document: Mapping[str, Any], subject: str) -> Presentation:
    listed = [entry for name in _MEMBERS for entry in _dicts(document.get(name))]
    if len(listed) > MAX_ENTRIES:
        raise refused(subject, f"lists {len(listed)} things, and {MAX_ENTRIES} are allowed", "E_IIIF", _HINT)
    of_kind = [entry for entry in listed if _kind(entry) in {"manifest", "collection"}]
    found = [Entry(url, _kind(entry) == "collection") for entry in of_kind for url in _addresses([_id(entry)])]
    return Presentation(is_collection=True, entries=tuple(dict.fromkeys(found)), unread=len(of_kind) - len(found))


def _canvases(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    sequences = _dicts(document.get("sequences"))
    return _dicts(sequences[0].get("canvases")) if sequences else _dicts(document.get("items"))


def _canvas(canvas: Mapping[str, Any]) -> Canvas:
    """Return a canvas with the addresses of its picture, or with the first one that cannot be asked."""
    unasked = ""
    for body in _bodies(canvas):
        # A picture beside a service is often a small one.
        served = list(_of_services(body))
        addresses = tuple(_addresses(served)) or tuple(_addresses([_id(body)]))
        if addresses:
            return Canvas(_id(canvas), addresses)
        unasked = unasked or next((url for url in (_id(body), *served) if url), "")
    return Canvas(_id(canvas), (), unasked)


def _bodies(canvas: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the resources that are painted on a canvas; of those to be chosen from, all in order."""
    annotations = [each for page in _dicts(canvas.get("items")) for each in _dicts(page.get("items"))]
    for annotation in (*annotations, *_dicts(canvas.get("images"))):
        said = annotation.get("motivation", "painting")
        if any(each in _PAINTING for each in (said if isinstance(said, list) else [said]) if isinstance(each, str)):
            yield from _choices(annotation.get("body") or annotation.get("resource"))


def _choices(body: Any) -> Iterator[Mapping[str, Any]]:
    for one in _dicts(body):
        options = [*_dicts(one.get("default")), *_dicts(one.get("item")), *_dicts(one.get("items"))]
        yield from options or [one]


def _of_services(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield the addresses of the full picture that the services of a resource give.

    Level 0 has only the sizes that were made before, of which the resource itself is one.
    """
    for service in _dicts(body.get("service")):
        version = _version(service)
        base = _id(service).rstrip("/")
        if version and base and "level0" not in json.dumps(service.get("profile", "")):
            yield f"{base}/{_FULL[version]}"
            if version == 2:  # noqa: PLR2004  (servers of 2.1 may refuse `full` where the picture is large)
                yield f"{base}/{_LARGEST}"


def _version(service: Mapping[str, Any]) -> int | None:
    """Return the version of the Image API that a service speaks; None where it is another kind of service."""
    said = json.dumps([service.get(name) for name in ("@context", "type", "@type", "profile")])
    for version, marks in _MARKS.items():
        if any(mark in said for mark in marks):
            return version
    return None


_MARKS = {
    3: ("api/image/3", "ImageService3"),
    2: ("api/image/2", "ImageService2"),
    1: ("api/image/1", "ImageService1", "image-api/1", "image-api/compliance"),
}


def _addresses(urls: Sequence[str]) -> Iterator[str]:
    for url in urls:
        try:
            yield plain_url(url)
        except ServerRefused:
            continue


def _kind(document: Mapping[str, Any]) -> str:
    kind = document.get("type") or document.get("@type")
    return kind.removeprefix("sc:").lower() if isinstance(kind, str) else ""


def _id(document: Mapping[str, Any]) -> str:
    name = document.get("id") or document.get("@id")
    return name if isinstance(name, str) else ""


def _dicts(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a list; of one object alone, a list of it."""
    return [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]
