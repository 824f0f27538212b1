"""IIIF manifests and collections of both versions, whole, odd and hostile."""

import json
from typing import Any

import pytest

from bec_orch.errors import ManifestError
from bec_orch.io.sources import iiif_documents
from bec_orch.io.sources.iiif_documents import Canvas, Entry, Presentation, read_presentation
from tests.support.servers.library import manifest

URL = "https://lib.example/m"
IMAGES = ("https://img.example/a", "https://img.example/b")


def read(document: Any) -> Presentation:
    return read_presentation(json.dumps(document).encode(), "The manifest M")


def of_body(body: Any) -> tuple[str, ...]:
    annotation = {"motivation": "painting", "body": body}
    (canvas,) = read({"type": "Manifest", "items": [{"id": "c", "items": [{"items": [annotation]}]}]}).canvases
    return canvas.images


class TestManifest:
    @pytest.mark.parametrize("version", [2, 3])
    @pytest.mark.parametrize(
        ("services", "ends"),
        [
            (None, ("",)),
            (1, ("/full/full/0/native.jpg",)),
            (2, ("/full/full/0/default.jpg", "/full/max/0/default.jpg")),
            (3, ("/full/max/0/default.jpg",)),
        ],
    )
    def test_a_canvas_has_its_picture_in_full_size(
        self, version: int, services: int | None, ends: tuple[str, ...]
    ) -> None:
        found = read(manifest(URL, IMAGES, version=version, services=services))
        assert found.canvases == tuple(
            Canvas(f"{URL}/canvas/{at}", tuple(image + end for end in ends)) for at, image in enumerate(IMAGES)
        )

    def test_a_service_of_level_0_has_only_the_file_that_is_there(self) -> None:
        for profile in ("level0", "http://iiif.io/api/image/2/level0.json", ["http://iiif.io/api/image/2/level0.json"]):
            service = {"type": "ImageService3", "id": "https://img.example/s", "profile": profile}
            assert of_body({"id": "https://img.example/a.jpg", "service": service}) == ("https://img.example/a.jpg",)

    def test_other_services_are_no_image_services(self) -> None:
        service = [{"@context": "http://iiif.io/api/auth/1/context.json", "@id": "https://img.example/login"}]
        assert of_body({"id": "https://img.example/a.jpg", "service": service}) == ("https://img.example/a.jpg",)

    def test_of_pictures_to_be_chosen_from_the_first_is_taken(self) -> None:
        first, second = ({"id": f"https://img.example/{name}.jpg"} for name in "ab")
        assert of_body({"type": "Choice", "items": [first, second]}) == ("https://img.example/a.jpg",)
        assert of_body({"@type": "oa:Choice", "default": second, "item": [first]}) == ("https://img.example/b.jpg",)
        assert of_body([first, second]) == ("https://img.example/a.jpg",)

    def test_what_is_painted_may_be_more_than_that(self) -> None:
        painted = {"motivation": ["painting", "x", {}], "body": {"id": "https://img.example/n.jpg"}}
        found = read({"type": "Manifest", "items": [{"id": "c", "items": [{"items": [painted]}]}]})
        assert found.canvases == (Canvas("c", ("https://img.example/n.jpg",)),)

    def test_notes_on_a_canvas_are_no_pictures(self) -> None:
        note = {"motivation": "commenting", "body": {"id": "https://img.example/n.jpg"}}
        found = read({"type": "Manifest", "items": [{"id": "c", "items": [{"items": [note]}]}]})
        assert found.canvases == (Canvas("c", ()),)

    @pytest.mark.parametrize(
        "body",
        [None, 7, "https://img.example/a", [], {}, {"id": 7}, {"id": "file:///etc/passwd"}, {"service": "x"},
         {"service": [{"type": "ImageService3", "id": "file:///etc"}]},
         {"service": {"type": "ImageService3", "id": {}}},
         {"id": "http://user:secret@img.example/"}],
    )  # fmt: skip
    def test_a_canvas_without_a_picture_that_can_be_had_is_a_page_all_the_same(self, body: Any) -> None:
        assert of_body(body) == ()

    def test_the_version_follows_canvases_and_pictures_and_nothing_else(self) -> None:
        found = manifest(URL, IMAGES)
        etag = read(found).etag
        assert read({**found, "label": "other", "metadata": [1]}).etag == etag
        assert read(manifest(URL, IMAGES[::-1])).etag != etag
        assert read(manifest(URL, IMAGES[:1])).etag != etag
        assert read(manifest(URL, IMAGES, services=2)).etag != etag
        assert read(manifest(f"{URL}2", IMAGES)).etag != etag


class TestCollection:
    def test_both_versions_list_manifests_and_collections(self) -> None:
        three = {
            "type": "Collection",
            "items": [
                {"id": f"{URL}1", "type": "Manifest"},
                {"id": f"{URL}2", "type": "Collection"},
                {"type": "Range"},
            ],
        }
        two = {
            "@type": "sc:Collection",
            "manifests": [{"@id": f"{URL}1", "@type": "sc:Manifest"}],
            "collections": [{"@id": f"{URL}2", "@type": "sc:Collection"}],
            "members": [{"@id": f"{URL}1", "@type": "sc:Manifest"}],
        }
        for document in (three, two):
            found = read(document)
            assert found.is_collection
            assert found.entries == (Entry(f"{URL}1", is_collection=False), Entry(f"{URL}2", is_collection=True))
            assert found.unread == 0

    def test_entries_that_cannot_be_asked_are_counted(self) -> None:
        bad: list[Any] = ["file:///etc/passwd", None, 7, "x" * 5000]
        found = read({"type": "Collection", "items": [{"id": each, "type": "Manifest"} for each in bad]})
        assert (found.entries, found.unread) == ((), 4)


class TestHostile:
    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"", "E_MANIFEST_JSON"),
            (b"<html>", "E_MANIFEST_JSON"),
            (b"\xff\xfe", "E_MANIFEST_JSON"),
            (b"[" * 200_000, "E_MANIFEST_JSON"),
            (b'{"type": ' * 100_000, "E_MANIFEST_JSON"),
            (b"[]", "E_IIIF"),
            (b'"Manifest"', "E_IIIF"),
            (b"{}", "E_IIIF"),
            (b'{"type": "Canvas"}', "E_IIIF"),
            (b'{"type": ["Manifest"]}', "E_IIIF"),
        ],
    )
    def test_what_is_no_document_is_reported(self, data: bytes, code: str) -> None:
        with pytest.raises(ManifestError) as caught:
            read_presentation(data, "The manifest M")
        assert caught.value.code == code
        assert caught.value.message.startswith("The manifest M ")
        assert caught.value.hint

    def test_the_page_of_a_viewer_is_told_from_a_broken_manifest(self) -> None:
        with pytest.raises(ManifestError) as caught:
            read_presentation(b"<!DOCTYPE html><html>", "The manifest")
        assert caught.value.message == "The manifest is not JSON: it begins like a web page or XML."

    @pytest.mark.parametrize(
        ("data", "why"),
        [
            (b"{\n ,", "Expecting property name enclosed in double quotes in line 2, column 2"),
            (b"[" * 200_000, "it is nested too deeply"),
            (b'{"a": "\xff"}', "it is no Unicode text"),
        ],
    )
    def test_it_is_told_why_it_is_no_json(self, data: bytes, why: str) -> None:
        with pytest.raises(ManifestError) as caught:
            read_presentation(data, "The manifest M")
        assert caught.value.message == f"The manifest M is not JSON: {why}."

    @pytest.mark.parametrize(
        "items", [None, 7, "x", {}, [], [[[]]], [None, 7, "x"], {"items": {"items": {"items": 1}}}]
    )
    def test_odd_lists_are_read_as_far_as_they_go(self, items: Any) -> None:
        assert all(canvas.images == () for canvas in read({"type": "Manifest", "items": items}).canvases)
        assert read({"type": "Collection", "items": items}).entries == ()

    def test_too_many_of_anything_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(iiif_documents, "MAX_CANVASES", 2)
        monkeypatch.setattr(iiif_documents, "MAX_ENTRIES", 2)
        for document, code in (
            ({"type": "Manifest", "items": [{}] * 3}, "E_IIIF"),
            ({"type": "Collection", "items": [{}] * 3}, "E_IIIF"),
        ):
            with pytest.raises(ManifestError) as caught:
                read(document)
            assert caught.value.code == code
        monkeypatch.setattr(iiif_documents, "MAX_VALUES", 5)
        with pytest.raises(ManifestError) as caught:
            read([1] * 9)
        assert caught.value.code == "E_MANIFEST_TOO_LARGE"
