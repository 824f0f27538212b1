"""The layout `iiif`, against a library's server on this machine."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import pytest

from bec_orch.core.names import check_name
from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import (
    BecError,
    ManifestError,
    ManifestMissing,
    PageError,
    RetryableError,
    StorageError,
    UsageError,
)
from bec_orch.io.servers import addresses
from bec_orch.io.servers.addresses import Reach
from bec_orch.io.servers.fetching import Fetcher, Patience
from bec_orch.io.sources import iiif
from bec_orch.io.sources.iiif import volume_names
from bec_orch.io.sources.sources import Sources
from bec_orch.io.stores.storage import Stores
from tests.support.servers.library import Answer, Library, library, manifest

QUICK = Patience(attempts=2, first=0.001, connect=5.0, silence=5.0, whole=10.0)
FULL = "/full/max/0/default.jpg"


@pytest.fixture
def server() -> Iterator[Library]:
    with library() as server:
        yield server


@pytest.fixture
def opened(server: Library) -> Callable[..., ImageSource]:
    return lambda path="/m/manifest.json": Sources(Stores(), fetcher=Fetcher(QUICK))(f"iiif+{server.url}{path}")


def put(server: Library, path: str, document: Any) -> None:
    server.things[path] = json.dumps(document).encode()


def book(server: Library, pages: int = 3, path: str = "/m/manifest.json") -> None:
    """Put a manifest there, and a picture for each of its pages."""
    put(server, path, manifest(f"{server.url}{path}", [f"{server.url}{path}/{at}" for at in range(pages)]))
    for at in range(pages):
        server.things[f"{path}/{at}{FULL}"] = b"picture %d" % at


def only(source: ImageSource) -> VolumeRef:
    (volume,) = source.volumes()
    return volume


def page(source: ImageSource, index: int) -> PageBytes:
    found = source.read_manifest(only(source))
    return anyio.run(source.pages(found).read, found.pages[index])


class TestManifest:
    def test_a_manifest_is_a_volume_whose_pages_are_its_canvases(
        self, server: Library, opened: Callable[..., ImageSource]
    ) -> None:
        book(server)
        source = opened()
        volume = only(source)
        assert (volume.w_id, volume.source) == ("127.0.0.1", f"iiif+{server.url}/m/manifest.json")
        found = source.read_manifest(volume, nb_images_intro=1)
        assert [each.filename for each in found.pages] == ["0001", "0002", "0003"]
        assert [each.skip_reason for each in found.pages] == ["intro", None, None]
        assert source.manifest_etag(volume) == found.etag
        assert [page(source, at).data for at in range(3)] == [b"picture 0", b"picture 1", b"picture 2"]
        assert page(source, 0).etag == page(source, 0).etag != page(source, 1).etag

    def test_one_without_canvases_is_empty(self, server: Library, opened: Callable[..., ImageSource]) -> None:
        book(server, 0)
        source = opened()
        with pytest.raises(ManifestError) as caught:
            source.read_manifest(only(source))
        assert caught.value.code == "E_MANIFEST_EMPTY"

    def test_one_that_changed_yields_no_page_of_the_older_version(
        self, server: Library, opened: Callable[..., ImageSource]
    ) -> None:
        book(server)
        before = opened().read_manifest(only(opened()))
        book(server, 2)
        source = opened()
        assert source.manifest_etag(only(source)) != before.etag
        with pytest.raises(RetryableError) as caught:
            anyio.run(source.pages(before).read, before.pages[0])
        assert caught.value.code == "E_SOURCE_CHANGED"

    @pytest.mark.parametrize(
        ("lies", "kind", "code"),
        [
            (Answer(status=404), StorageError, "E_STORAGE_MISSING"),
            (Answer(status=500), StorageError, "E_SERVER_AWAY"),
            (Answer(status=403), ManifestError, "E_SERVER_REFUSED"),
            (Answer(b"<html>"), ManifestError, "E_MANIFEST_JSON"),
            (Answer(b"{}"), ManifestError, "E_IIIF"),
        ],
        ids=["404", "500", "403", "html", "other"],
    )
    def test_what_cannot_be_had_or_read_is_reported(
        self, server: Library, opened: Callable[..., ImageSource], lies: Answer, kind: type[BecError], code: str
    ) -> None:
        server.things["/m/manifest.json"] = lies
        with pytest.raises(kind) as caught:
            list(opened().volumes())
        assert caught.value.code == code
        with pytest.raises(kind):
            opened().check_readable()

    @pytest.mark.parametrize("url", ["iiif+file:///etc/passwd", "iiif+ftp://x/y", "iiif+https://"])
    def test_only_addresses_of_the_web_are_opened(self, url: str) -> None:
        with pytest.raises(UsageError):
            Sources(Stores())(url)


class TestCollection:
    def test_its_manifests_and_those_of_its_collections_are_volumes(
        self, server: Library, opened: Callable[..., ImageSource]
    ) -> None:
        for name in "abc":
            book(server, 1, f"/{name}")
        put(
            server,
            "/inner",
            {"type": "Collection", "items": [self.entry(server, "/c"), self.entry(server, "/top", of="Collection")]},
        )
        below = [self.entry(server, "/a"), self.entry(server, "/b"), self.entry(server, "/inner", of="Collection")]
        put(server, "/top", {"type": "Collection", "items": below})
        source = opened("/top")
        volumes = list(source.volumes())
        assert [each.i_id.partition("-")[0] for each in volumes] == ["a", "b", "c"]
        assert {each.source for each in volumes} == {source.name}
        assert [len(source.read_manifest(each).pages) for each in volumes] == [1, 1, 1]

    def entry(self, server: Library, path: str, *, of: str = "Manifest") -> dict[str, str]:
        return {"id": f"{server.url}{path}", "type": of}

    def test_a_manifest_that_it_lists_no_more_is_missing(
        self, server: Library, opened: Callable[..., ImageSource]
    ) -> None:
        book(server, 1, "/a")
        put(server, "/top", {"type": "Collection", "items": [self.entry(server, "/a"), self.entry(server, "/gone")]})
        source = opened("/top")
        _, gone = source.volumes()
        for volume in (gone, VolumeRef("other", "x", source.name)):
            assert source.manifest_etag(volume) is None
            with pytest.raises(ManifestMissing):
                source.read_manifest(volume)
        assert f"nothing at '{server.url}/gone'" in source.missing(gone)
        assert f"'{server.url}/top' does not list it" in source.missing(VolumeRef("other", "x", source.name))

    def test_one_that_is_new_is_found(
        self, server: Library, opened: Callable[..., ImageSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(iiif, "_LISTED_AT_LEAST", 0.0)
        book(server, 1, "/a")
        book(server, 1, "/b")
        put(server, "/top", {"type": "Collection", "items": [self.entry(server, "/a")]})
        source = opened("/top")
        (first,) = source.volumes()
        put(server, "/top", {"type": "Collection", "items": [self.entry(server, "/a"), self.entry(server, "/b")]})
        new = VolumeRef(*volume_names(f"{server.url}/b"), source.name)
        assert [len(source.read_manifest(each).pages) for each in (first, new)] == [1, 1]

    def test_many_that_are_missing_have_it_listed_once(
        self, server: Library, opened: Callable[..., ImageSource]
    ) -> None:
        put(server, "/top", {"type": "Collection", "items": []})
        source = opened("/top")
        with ThreadPoolExecutor(8) as threads:
            found = list(threads.map(source.manifest_etag, [VolumeRef("w", f"i{n}", source.name) for n in range(20)]))
        assert found == [None] * 20
        assert server.paths() == ["/top"]

    def test_what_it_lists_without_an_address_is_logged(
        self, server: Library, opened: Callable[..., ImageSource], caplog: pytest.LogCaptureFixture
    ) -> None:
        put(server, "/top", {"type": "Collection", "items": [{"id": "file:///etc/passwd", "type": "Manifest"}]})
        assert list(opened("/top").volumes()) == []
        assert [record.__dict__["entries"] for record in caplog.records] == [1]

    def test_collections_without_end_are_refused(
        self, server: Library, opened: Callable[..., ImageSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(iiif, "MAX_COLLECTIONS", 3)
        for at in range(9):
            put(server, f"/{at}", {"type": "Collection", "items": [self.entry(server, f"/{at + 1}", of="Collection")]})
        with pytest.raises(ManifestError) as caught:
            list(opened("/0").volumes())
        assert caught.value.code == "E_IIIF"
        assert len(server.asked) <= 4

    def test_two_manifests_of_one_name_are_reported(
        self, server: Library, opened: Callable[..., ImageSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(iiif, "_DIGITS", 0)
        items = [self.entry(server, "/a/x"), self.entry(server, "/b/x")]
        put(server, "/top", {"type": "Collection", "items": items})
        with pytest.raises(ManifestError) as caught:
            list(opened("/top").volumes())
        assert caught.value.code == "E_NAME_DUPLICATE"


class TestPages:
    def test_a_page_that_is_not_there_is_believed_on_the_second_look(
        self, server: Library, opened: Callable[..., ImageSource]
    ) -> None:
        book(server)
        server.things[f"/m/manifest.json/1{FULL}"] = [Answer(status=404), Answer(status=404), Answer(b"back")]
        source = opened()
        with pytest.raises(PageError) as caught:
            page(source, 1)
        assert (caught.value.stage, caught.value.code) == ("fetch", "E_PAGE_MISSING")
        assert f"there is nothing at '{server.url}/m/manifest.json/1{FULL}'" in caught.value.message
        asked = len(server.asked)
        assert source.filenames(only(source)) == {"0001", "0003"}
        assert source.filenames(only(source)) == {"0001", "0002", "0003"}
        assert len([path for path in server.paths()[asked:] if path.endswith(FULL)]) == 2

    @pytest.mark.parametrize(
        ("lies", "code"),
        [
            (Answer(status=403), "E_SERVER_REFUSED"),
            (Answer(b""), "E_IMAGE_EMPTY"),
            (Answer(status=302, headers={"Location": "http://169.254.169.254/"}), "E_ADDRESS_REFUSED"),
            (Answer(status=302, headers={"Location": "http://192.168.0.1/"}), "E_ADDRESS_REFUSED"),
        ],
        ids=["403", "empty", "metadata", "private"],
    )
    def test_a_fault_of_one_page_is_its_own(
        self, server: Library, opened: Callable[..., ImageSource], lies: Answer, code: str
    ) -> None:
        book(server)
        server.things[f"/m/manifest.json/1{FULL}"] = lies
        with pytest.raises(PageError) as caught:
            page(opened(), 1)
        assert (caught.value.stage, caught.value.code) == ("fetch", code)
        assert "'0002'" in caught.value.message
        assert code == "E_IMAGE_EMPTY" or f"'{server.url}/m/manifest.json/1{FULL}'" in caught.value.message
        assert page(opened(), 2).data == b"picture 2"

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_a_passing_fault_is_no_fault_of_the_page(
        self, server: Library, opened: Callable[..., ImageSource], status: int
    ) -> None:
        book(server)
        server.things[f"/m/manifest.json/1{FULL}"] = Answer(status=status)
        with pytest.raises(RetryableError) as caught:
            page(opened(), 1)
        assert not caught.value.charged

    def test_a_canvas_without_a_picture_is_an_error(self, server: Library, opened: Callable[..., ImageSource]) -> None:
        put(server, "/m/manifest.json", {"type": "Manifest", "items": [{"id": "c"}]})
        with pytest.raises(PageError) as caught:
            page(opened(), 0)
        assert caught.value.code == "E_IIIF_NO_IMAGE"

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/1.jpg", "/relative.jpg", "x" * 5000])
    def test_a_picture_that_cannot_be_asked_for_is_named(
        self, server: Library, opened: Callable[..., ImageSource], url: str
    ) -> None:
        put(server, "/m/manifest.json", manifest(f"{server.url}/m", [url, f"{server.url}/b"], services=None))
        server.things["/b"] = b"picture"
        with pytest.raises(PageError) as caught:
            page(opened(), 0)
        assert (caught.value.stage, caught.value.code) == ("fetch", "E_URL")
        assert f"'{url[:150]}" in caught.value.message
        assert len(caught.value.message) < 400
        assert page(opened(), 1).data == b"picture"

    def test_a_server_that_refuses_the_full_size_is_asked_for_its_largest(
        self, server: Library, opened: Callable[..., ImageSource]
    ) -> None:
        found = manifest(f"{server.url}/m", [f"{server.url}/i"], version=2, services=2)
        put(server, "/m/manifest.json", found)
        server.things["/i/full/full/0/default.jpg"] = Answer(status=400)
        server.things["/i/full/max/0/default.jpg"] = b"largest"
        assert page(opened(), 0).data == b"largest"


class TestReach:
    def test_a_manifest_of_another_server_may_not_lead_into_this_machine(
        self, server: Library, opened: Callable[..., ImageSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        within = addresses.reach_of
        monkeypatch.setattr(
            addresses, "reach_of", lambda each: Reach.PUBLIC if str(each) == "127.0.0.1" else within(each)
        )
        with library("127.0.0.2") as inside:
            inside.things["/secret"] = b"secret"
            inside.things["/m"] = b'{"type": "Manifest"}'
            put(server, "/m/manifest.json", manifest(f"{server.url}/m", [f"{inside.url}/secret"], services=None))
            with pytest.raises(PageError) as caught:
                page(opened(), 0)
            assert caught.value.code == "E_ADDRESS_REFUSED"

            put(server, "/top", {"type": "Collection", "items": [{"id": f"{inside.url}/m", "type": "Manifest"}]})
            source = opened("/top")
            with pytest.raises(ManifestError) as refused:
                source.read_manifest(only(source))
            assert refused.value.code == "E_ADDRESS_REFUSED"

            # A collection of this machine may list a server's manifest, which may not lead back.
            items = [{"id": f"{server.url}/m/manifest.json", "type": "Manifest"}]
            put(inside, "/own", {"type": "Collection", "items": items})
            source = Sources(Stores(), fetcher=Fetcher(QUICK))(f"iiif+{inside.url}/own")
            with pytest.raises(PageError) as caught:
                page(source, 0)
            assert caught.value.code == "E_ADDRESS_REFUSED"
            assert "/secret" not in inside.paths()


@pytest.mark.parametrize(
    ("url", "begins"),
    [
        ("https://iiif.bdrc.io/v:bdr:I0886/manifest", "v_bdr_I0886-"),
        ("https://lib.example/iiif/MS%201%2F2/manifest.json", "2-"),
        ("https://lib.example/", ""),
        ("https://lib.example/..%2f..%2fetc/manifest", "etc-"),
        ("https://lib.example/%00%0a/manifest", ""),
        (f"https://lib.example/{'x' * 500}", "x" * 80 + "-"),
        ("https://lib.example/%E0%BD%91/manifest", ""),
        ("http://[::1]:8080/a", "a-"),
    ],
)
def test_names_are_safe_and_each_address_has_its_own(url: str, begins: str) -> None:
    w_id, i_id = volume_names(url)
    assert i_id[:-8] == begins
    assert volume_names(url) == (check_name("work", w_id), check_name("volume", i_id)) != volume_names(f"{url}?")
