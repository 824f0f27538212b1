"""What lies where a file should be and is none (a pipe, a device, a folder) is told at once, and never opened."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.errors import NotAFile, PageError, TerminalError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.sources.bdrc import BdrcSource, volume_prefix
from bec_orch.io.sources.folder import FolderSource
from bec_orch.io.sources.pages import StorePages
from bec_orch.io.stores.folders import FolderObjects
from bec_orch.jobs.evalv1.truth import VolumeTruth
from bec_orch.jobs.shared.model_config import PublishedModelConfig
from tests.support.owners import owner


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_RDONLY)
        try:
            made.bind(f"/proc/self/fd/{here}/{path.name}")
        finally:
            os.close(here)


KINDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (os.mkfifo, "a named pipe"),
    "socket": (_socket, "a socket"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "a device"),
    "folder": (Path.mkdir, "a folder"),
}


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def put(path: Path, kind: str) -> Path:
    """Put what is no file at a path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    KINDS[kind][0](path)
    return path


class TestStore:
    @pytest.fixture
    def objects(self, tmp_path: Path, kind: str) -> FolderObjects:
        put(tmp_path / "store" / "a" / "one", kind)
        return FolderObjects(tmp_path / "store")

    @pytest.mark.parametrize("how", ["read", "read_async", "read_range"])
    def test_reading_it_is_refused_by_name(self, objects: FolderObjects, kind: str, how: str) -> None:
        reads: dict[str, Callable[[], object]] = {
            "read": lambda: objects.read("a/one", limit=10),
            "read_async": lambda: asyncio.run(objects.read_async("a/one")),
            "read_range": lambda: objects.read_range("a/one", 0, 1),
        }
        with pytest.raises(NotAFile) as caught:
            reads[how]()
        assert caught.value.message == f"'a/one' in {objects.url} is {KINDS[kind][1]}, not a file."

    def test_it_is_no_object(self, objects: FolderObjects) -> None:
        assert objects.head("a/one") is None


class TestArtefacts:
    LOCATION = ArtefactLocation("lines", VolumeRef("W1", "I1", "folder+file:///x"), '"abcdef99"')

    def test_a_success_json_that_is_none_is_broken_and_nobodys(self, tmp_path: Path, kind: str) -> None:
        taken = put(tmp_path / "store" / self.LOCATION.prefix / "success.json", kind)
        store = StoredArtefacts(FolderObjects(tmp_path / "store"), tmp_path / "work", owner())
        with pytest.raises(TerminalError) as caught:
            store.success(self.LOCATION)
        assert caught.value.code == "E_ARTEFACT_BROKEN"
        assert f"{self.LOCATION.prefix}/success.json" in caught.value.message
        assert KINDS[kind][1] in caught.value.message
        assert not store.owns_at(self.LOCATION)
        assert taken.lstat()


class TestSources:
    def test_a_page_that_is_no_file_is_listed_and_a_page_error(self, tmp_path: Path) -> None:
        (tmp_path / "W1" / "I1").mkdir(parents=True)
        (tmp_path / "W1" / "I1" / "1.jpg").write_bytes(b"image")
        put(tmp_path / "W1" / "I1" / "2.jpg", "pipe")
        put(tmp_path / "W1" / "I1" / "3.jpg", "socket")
        source = FolderSource("folder+file:///x", FolderObjects(tmp_path))
        manifest = source.read_manifest(VolumeRef("W1", "I1", "folder+file:///x"))
        assert [page.filename for page in manifest.pages] == ["1.jpg", "2.jpg", "3.jpg"]
        assert asyncio.run(source.pages(manifest).read(manifest.pages[0])).data == b"image"
        for page in manifest.pages[1:]:
            with pytest.raises(PageError) as caught:
                asyncio.run(source.pages(manifest).read(page))
            assert (caught.value.code, caught.value.stage) == ("E_PAGE_NOT_A_FILE", "fetch")
            assert page.filename in caught.value.message

    def test_a_folder_with_the_name_of_a_listed_page_is_a_page_error(self, tmp_path: Path) -> None:
        put(tmp_path / "v" / "1.jpg", "folder")
        with pytest.raises(PageError) as caught:
            asyncio.run(StorePages(FolderObjects(tmp_path), "v").read(Page(0, "1.jpg")))
        assert caught.value.code == "E_PAGE_NOT_A_FILE"

    def test_a_manifest_that_is_none_is_reported(self, tmp_path: Path, kind: str) -> None:
        key = f"{volume_prefix('W1', 'I1')}/dimensions.json"
        put(tmp_path / key, kind)
        source = BdrcSource("bdrc+file:///x", FolderObjects(tmp_path))
        for ask in (source.read_manifest, source.manifest_etag):
            with pytest.raises(NotAFile) as caught:
                ask(VolumeRef("W1", "I1", "bdrc+file:///x"))
            assert key in caught.value.message


def test_truth_that_is_none_is_the_error_of_its_page(tmp_path: Path, kind: str) -> None:
    put(tmp_path / "1.txt", kind)
    with pytest.raises(PageError) as caught:
        VolumeTruth(FolderObjects(tmp_path), {"1": "1.txt"}).of(Page(0, "1.jpg"))
    assert caught.value.code == "E_TRUTH_BROKEN"
    assert KINDS[kind][1] in caught.value.message


def test_a_config_of_a_model_that_is_a_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it is not a file"):
        PublishedModelConfig.read(put(tmp_path / "config.json", "folder"))


def test_a_config_of_a_model_that_is_a_pipe_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="it is not a file"):
        PublishedModelConfig.read(put(tmp_path / "config.json", "pipe"))
