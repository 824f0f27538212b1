"""IIIF Presentation 3: what its specification asks for, and what is told."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from bec_orch.core.transcripts import Line, PageContent, PageRecord
from bec_orch.exports.formats import Level, Material, format_of
from tests.unit.exports.made import FULL, ORIGIN, PAGES, TEXT

MATERIAL = Material(
    "https://texts.example.org", "https://images.example.org/{w_id}/{i_id}/{file}/full/max/0/default.jpg"
)


@pytest.fixture(scope="module")
def manifest() -> dict[str, Any]:
    return json.loads(b"".join(format_of("iiif").writers[Level.VOLUME](PAGES, ORIGIN, MATERIAL)))  # type: ignore[no-any-return]


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from objects(each)


def test_what_the_specification_requires_is_there(manifest: dict[str, Any]) -> None:
    assert manifest["@context"] == "http://iiif.io/api/presentation/3/context.json"
    assert manifest["type"] == "Manifest"
    assert manifest["label"] == {"none": ["W1<&>/I1'\""]}
    for canvas in manifest["items"]:
        assert canvas["type"] == "Canvas"
        assert canvas["width"] > 0
        assert canvas["height"] > 0
        for page in (*canvas["items"], *canvas["annotations"]):
            assert page["type"] == "AnnotationPage"
            targets = [each["target"] for each in page["items"]]
            sources = [each if isinstance(each, str) else each["source"] for each in targets]
            assert all(each.startswith(canvas["id"]) for each in sources)
            assert all(each["type"] == "Annotation" for each in page["items"])
        assert [each["motivation"] for each in canvas["items"][0]["items"]] == ["painting"]


def test_identifiers_are_addresses_and_each_is_of_one_thing(manifest: dict[str, Any]) -> None:
    named = [each["id"] for each in objects(manifest) if "id" in each]
    assert len(named) == len(set(named))
    assert all(name.startswith("https://") and not set(name) & set(" <>\"'") for name in named)


def test_lines_are_supplementing_annotations_in_reading_order(manifest: dict[str, Any]) -> None:
    found = manifest["items"][0]["annotations"][0]["items"]
    assert [line["id"].rpartition("/")[2] for line in found] == [str(place) for place in range(1, len(found) + 1)]
    lines = [line for line in found if line["motivation"] == "supplementing"]
    assert [line["body"]["value"] for line in lines] == [line.text for line in FULL.content.lines if line.text]
    assert lines[0]["body"] == {"type": "TextualBody", "value": TEXT, "format": "text/plain"}
    assert lines[0]["target"] == "https://texts.example.org/W1%3C%26%3E/I1%27%22/canvas/1#xywh=9,20,102,41"


def test_lines_that_nobody_read_are_outlines_with_their_kind() -> None:
    outline = ((1, 2), (9, 3), (8, 7), (1, 6))
    content = PageContent((Line(outline, kind="margin"), Line((), kind="main")), (20, 20))
    manifest = json.loads(
        b"".join(format_of("iiif").writers[Level.VOLUME]([replace(FULL, content=content)], ORIGIN, MATERIAL))
    )
    (canvas,) = manifest["items"]
    (line,) = canvas["annotations"][0]["items"]
    assert (line["motivation"], line["body"]["value"]) == ("tagging", "1: margin")
    assert (line["target"]["source"], line["target"]["type"]) == (canvas["id"], "SpecificResource")
    polygon, box = line["target"]["selector"]
    assert '<path d="M1,2L9,3L8,7L1,6Z"/>' in polygon["value"]
    assert box["value"] == "xywh=1,2,9,6"


def test_what_is_to_be_said_of_the_volume_is_its_summary() -> None:
    noted = replace(MATERIAL, note="It was replaced.")
    manifest = json.loads(b"".join(format_of("iiif").writers[Level.VOLUME](PAGES, ORIGIN, noted)))
    assert manifest["summary"] == {"en": ["It was replaced."]}


def test_every_page_is_there_and_says_why_it_is_empty(manifest: dict[str, Any]) -> None:
    assert len(manifest["items"]) == len(PAGES)
    assert manifest["items"][3]["summary"] == {"none": ["error: E_IMAGE_TRUNCATED"]}
    body = manifest["items"][0]["items"][0]["items"][0]["body"]
    assert body["id"].startswith("https://images.example.org/W1%3C%26%3E/I1%27%22/a%20%26%20%22b%22")
    assert (body["format"], body["width"], body["height"]) == ("image/jpeg", 200, 140)


def test_it_says_how_it_was_made(manifest: dict[str, Any]) -> None:
    told = [(each["label"]["en"][0], each["value"]["none"][0]) for each in manifest["metadata"]]
    assert tuple(told) == ORIGIN.facts()


def test_annotation_pages_are_those_of_the_manifest(manifest: dict[str, Any]) -> None:
    page = json.loads(b"".join(format_of("iiif").writers[Level.PAGE]([FULL], ORIGIN, MATERIAL)))
    assert page.pop("@context") == manifest["@context"]
    assert page == manifest["items"][0]["annotations"][0]


def test_a_line_whose_place_is_not_known_is_one_of_the_page() -> None:
    page = PageRecord(0, "a.jpg", PageContent((Line((), (), TEXT), Line((), (), None))))
    written = json.loads(b"".join(format_of("iiif").writers[Level.VOLUME]([page], ORIGIN, MATERIAL)))
    [canvas] = written["items"]
    [line] = canvas["annotations"][0]["items"]
    assert (line["target"], line["body"]["value"]) == (canvas["id"], TEXT)
