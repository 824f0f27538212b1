"""The layout `pdf`: which files are volumes, what their version is, and what is told of those that cannot be read."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import obstore
import pytest
from obstore.store import MemoryStore
from typing_extensions import override

from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.ports.sources import Documents, ImageSource
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import (
    ConfigError,
    DiskFullError,
    ManifestError,
    ManifestMissing,
    NotAFile,
    PageError,
    RetryableError,
    StorageError,
    TaskFault,
    UsageError,
)
from bec_orch.io.sources import pdf as layout
from bec_orch.io.sources.detect import DetectedSource, Outside, detect_source
from bec_orch.io.sources.opening import split_options
from bec_orch.io.sources.pdf import PdfSource
from bec_orch.io.sources.sources import Sources
from bec_orch.io.stores.objects import Objects
from bec_orch.io.stores.storage import Stores


class Read(Documents):
    """Reads files of `N pages` in text; others are faults of the code that stands in them."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []

    @override
    def count_pages(self, file: int) -> int:
        number = os.pread(file, 100, 0).decode().split()[0]
        if not number.isdecimal():
            raise PageError("It is odd.", stage="decode", code=number, hint="Mend it.")
        return int(number)

    @override
    def picture(self, file: int, index: int, dpi: int) -> bytes:
        self.asked.append((index, dpi))
        if index == 2:
            raise PageError("Page 3 is odd.", stage="decode", code="E_PDF_PAGE", hint="Mend it.")
        return os.pread(file, 100, 0) + b"#%d" % index


def put(root: Path, *names: str, data: bytes = b"3 pages") -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root


@pytest.fixture
def documents() -> Read:
    return Read()


@pytest.fixture
def opened(tmp_path: Path, documents: Read) -> Callable[..., ImageSource]:
    def opened(options: str = "", *, follow_links: bool = False) -> ImageSource:
        root = tmp_path / "scans"
        root.mkdir(exist_ok=True)
        return Sources(Stores(follow_links=follow_links), documents)(f"pdf+{root.as_uri()}{options}")

    return opened


def ref(source: ImageSource, w_id: str = "W1", i_id: str = "I1") -> VolumeRef:
    return VolumeRef(w_id, i_id, source.name)


def page(source: ImageSource, index: int) -> PageBytes:
    manifest = source.read_manifest(ref(source))
    return anyio.run(source.pages(manifest).read, manifest.pages[index])


class TestManifest:
    def test_pages_are_called_by_their_numbers(self, tmp_path: Path, opened: Callable[..., ImageSource]) -> None:
        put(tmp_path / "scans", "W1/I1.pdf")
        source = opened()
        manifest = source.read_manifest(ref(source), nb_images_intro=1)
        assert [page.filename for page in manifest.pages] == ["0001", "0002", "0003"]
        assert [page.skip_reason for page in manifest.pages] == ["intro", None, None]
        assert len({page.etag for page in manifest.pages}) == 3
        assert source.manifest_etag(ref(source)) == manifest.etag
        assert source.filenames(ref(source)) == {"0001", "0002", "0003"}

    def test_the_suffix_is_in_any_case_and_two_are_reported(
        self, tmp_path: Path, opened: Callable[..., ImageSource]
    ) -> None:
        put(tmp_path / "scans", "W1/I1.PDF")
        source = opened()
        assert len(source.read_manifest(ref(source)).pages) == 3
        put(tmp_path / "scans", "W1/I1.pdf")
        with pytest.raises(ManifestError) as caught:
            source.read_manifest(ref(source))
        assert caught.value.code == "E_NAME_DUPLICATE"

    def test_another_file_or_another_resolution_is_another_version(
        self, tmp_path: Path, opened: Callable[..., ImageSource]
    ) -> None:
        root = put(tmp_path / "scans", "W1/I1.pdf")
        usual, same, finer = opened(), opened("#dpi=300"), opened("#dpi=400")
        etags = [source.manifest_etag(ref(source)) for source in (usual, same, finer)]
        assert etags[0] == etags[1] != etags[2]
        os.utime(root / "W1" / "I1.pdf", (1, 1))
        assert usual.manifest_etag(ref(usual)) not in etags

    def test_a_volume_has_the_names_of_its_file(self, tmp_path: Path, opened: Callable[..., ImageSource]) -> None:
        put(tmp_path / "scans", "Re\u0301/I\u0301.pdf", "W1/e\u0301.pdf")
        source = opened()
        assert source.spelled(ref(source, "R\u00e9", "\u00cd")) == ref(source, "Re\u0301", "I\u0301")
        for same in (
            ref(source, "W1", "e\u0301"),
            ref(source, "W1", "\u00f6"),
            ref(source, "\u00f6", "I1"),
            ref(source),
        ):
            assert source.spelled(same) == same
        assert source.spelled(ref(source, "W1", "\u00e9")) == ref(source, "W1", "e\u0301")

    def test_one_that_is_not_there_is_missing(self, tmp_path: Path, opened: Callable[..., ImageSource]) -> None:
        put(tmp_path / "scans", "W1/other.pdf", "W1/I1.jpg")
        source = opened()
        assert source.manifest_etag(ref(source)) is None
        with pytest.raises(ManifestMissing):
            source.read_manifest(ref(source))

    def test_a_folder_that_went_away_is_no_missing_volume(
        self, tmp_path: Path, opened: Callable[..., ImageSource]
    ) -> None:
        put(tmp_path / "scans", "W1/I1.pdf")
        source = opened()
        (tmp_path / "scans").rename(tmp_path / "gone")
        with pytest.raises(StorageError):
            source.read_manifest(ref(source))

    def test_a_file_that_cannot_be_read_ends_the_volume_with_its_reason(
        self, tmp_path: Path, opened: Callable[..., ImageSource]
    ) -> None:
        put(tmp_path / "scans", "W1/I1.pdf", data=b"E_PDF_ENCRYPTED")
        source = opened()
        with pytest.raises(ManifestError) as caught:
            source.read_manifest(ref(source))
        assert (caught.value.code, caught.value.hint) == ("E_PDF_ENCRYPTED", "Mend it.")
        assert caught.value.message == "The PDF of W1/I1 cannot be read: It is odd."

    @pytest.mark.parametrize("code", ["E_PAGE_CRASH", "E_PAGE_MEMORY", "E_PAGE_TIMEOUT"])
    def test_one_that_ends_its_reader_is_tried_again_for_the_machine_may_be_sick(
        self, tmp_path: Path, opened: Callable[..., ImageSource], code: str
    ) -> None:
        put(tmp_path / "scans", "W1/I1.pdf", data=code.encode())
        source = opened()
        with pytest.raises(TaskFault) as caught:
            source.read_manifest(ref(source))
        assert caught.value.code == code

    def test_a_file_that_is_too_large_is_not_opened(
        self, tmp_path: Path, opened: Callable[..., ImageSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(tmp_path / "scans", "W1/I1.pdf")
        monkeypatch.setattr(layout, "MAX_FILE_BYTES", 3)
        source = opened()
        with pytest.raises(ManifestError) as caught:
            source.read_manifest(ref(source))
        assert caught.value.code == "E_PDF_TOO_LARGE"

    @pytest.mark.parametrize("linked", ["file", "folder"])
    def test_links_out_of_the_source_are_followed_only_where_that_is_asked_for(
        self, tmp_path: Path, opened: Callable[..., ImageSource], linked: str
    ) -> None:
        put(tmp_path / "elsewhere", "I1.pdf")
        if linked == "file":
            (tmp_path / "scans" / "W1").mkdir(parents=True)
            (tmp_path / "scans" / "W1" / "I1.pdf").symlink_to(tmp_path / "elsewhere" / "I1.pdf")
        else:
            (tmp_path / "scans").mkdir()
            (tmp_path / "scans" / "W1").symlink_to(tmp_path / "elsewhere")
        source = opened()
        with pytest.raises(ManifestError) as caught:
            source.read_manifest(ref(source))
        assert caught.value.code == "E_VOLUME_LINK"
        source = opened(follow_links=True)
        assert len(source.read_manifest(ref(source)).pages) == 3

    def test_a_pipe_is_not_opened(self, tmp_path: Path, opened: Callable[..., ImageSource]) -> None:
        (tmp_path / "scans" / "W1").mkdir(parents=True)
        os.mkfifo(tmp_path / "scans" / "W1" / "I1.pdf")
        source = opened()
        with pytest.raises(NotAFile):
            source.read_manifest(ref(source))


class TestPages:
    def test_a_page_is_made_in_the_resolution_of_the_source(
        self, tmp_path: Path, opened: Callable[..., ImageSource], documents: Read
    ) -> None:
        put(tmp_path / "scans", "W1/I1.pdf")
        source = opened("#dpi=450")
        first = page(source, 0)
        assert first.data == b"3 pages#0"
        assert first.etag == source.read_manifest(ref(source)).pages[0].etag
        assert documents.asked == [(0, 450)]

    def test_a_broken_page_is_its_own_error(self, tmp_path: Path, opened: Callable[..., ImageSource]) -> None:
        put(tmp_path / "scans", "W1/I1.pdf")
        with pytest.raises(PageError) as caught:
            page(opened(), 2)
        assert (caught.value.stage, caught.value.code, caught.value.hint) == ("fetch", "E_PDF_PAGE", "Mend it.")
        assert caught.value.message == "The page '0003' of W1/I1: Page 3 is odd."

    @pytest.mark.parametrize("what", ["gone", "replaced"])
    def test_a_file_that_was_replaced_yields_no_page_of_the_older_version(
        self, tmp_path: Path, opened: Callable[..., ImageSource], what: str
    ) -> None:
        root, source = put(tmp_path / "scans", "W1/I1.pdf", "W1/I2.pdf"), opened()
        manifest = source.read_manifest(ref(source))
        (root / "W1" / "I1.pdf").unlink()
        if what == "replaced":
            put(root, "W1/I1.pdf", data=b"4 pages of another book")
        with pytest.raises(RetryableError) as caught:
            anyio.run(source.pages(manifest).read, manifest.pages[0])
        assert caught.value.code == "E_SOURCE_CHANGED"

    def test_files_are_closed_when_nobody_needs_them(self, tmp_path: Path, opened: Callable[..., ImageSource]) -> None:
        root, source = put(tmp_path / "scans", *(f"W1/I{n}.pdf" for n in range(9))), opened()

        def held() -> int:
            links = (os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd"))  # noqa: PTH208
            return sum(link.startswith(str(root)) for link in links)

        if not Path("/proc/self/fd").exists():
            pytest.skip("open files are listed on Linux alone")
        for number in range(9):
            source.read_manifest(ref(source, i_id=f"I{number}"))
        assert held() == 2

    def test_a_bucket_is_read_through_a_copy(self, documents: Read) -> None:
        store = MemoryStore()
        obstore.put(store, "W1/I1.pdf", b"2 pages" + b" " * 20_000_000)
        source = PdfSource("pdf+memory://x", Objects(store, "memory://x"), documents)
        assert len(source.read_manifest(ref(source)).pages) == 2
        assert page(source, 1).data.startswith(b"2 pages")
        assert [str(found) for found in source.volumes()] == ["W1/I1"]

    def test_a_copy_that_finds_no_room_is_a_full_disk(self, documents: Read, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr(shutil, "copyfileobj", full)
        store = MemoryStore()
        obstore.put(store, "W1/I1.pdf", b"2 pages")
        source = PdfSource("pdf+memory://x", Objects(store, "memory://x"), documents)
        with pytest.raises(DiskFullError):
            source.read_manifest(ref(source))


class TestNames:
    @pytest.mark.parametrize("dpi", ["0", "35", "1201", "99999999999", "3e2", "-300", "٣٠٠"])
    def test_only_resolutions_that_can_be_drawn_in(self, opened: Callable[..., ImageSource], dpi: str) -> None:
        with pytest.raises(UsageError) as caught:
            opened(f"#dpi={dpi}")
        assert caught.value.code == "E_SOURCE_NAME"

    @pytest.mark.parametrize("options", ["#pages=3", "#dpi=300&x=1", "#300", "#dpi=300&dpi=300&dpi=400", "#dpi"])
    def test_other_options_are_refused(self, opened: Callable[..., ImageSource], options: str) -> None:
        with pytest.raises(UsageError) as caught:
            opened(options)
        assert caught.value.code == "E_SOURCE_NAME"

    def test_a_source_without_options_has_none(self) -> None:
        assert split_options("pdf+file:///a", "file:///a", {"dpi"}) == ("file:///a", {})

    def test_nothing_reads_documents_where_nothing_was_handed_in(self, tmp_path: Path) -> None:
        put(tmp_path / "scans", "W1/I1.pdf")
        source = Sources(Stores())(f"pdf+{(tmp_path / 'scans').as_uri()}")
        with pytest.raises(ConfigError):
            source.read_manifest(ref(source))

    def test_volumes_are_listed_and_the_others_logged(
        self, tmp_path: Path, opened: Callable[..., ImageSource], caplog: pytest.LogCaptureFixture
    ) -> None:
        put(
            tmp_path / "scans",
            "W1/b.pdf",
            "W1/a.Pdf",
            "W2/c.pdf",
            ".x/d.pdf",
            "W2/.e.pdf",
            "W2/.pdf",
            "top.pdf",
            "W1/ f.pdf",
        )
        assert [str(each) for each in opened().volumes()] == ["W1/a", "W1/b", "W2/c"]
        assert [record.__dict__["file"] for record in caplog.records] == ["W1/ f.pdf"]


def refs(found: DetectedSource) -> list[str]:
    return [str(each) for each in found.volumes]


class TestDetect:
    def test_a_file_a_folder_and_a_tree_of_them(self, tmp_path: Path) -> None:
        root = put(tmp_path / "scans", "W1/b.pdf", "W1/a.PDF", "W2/c.pdf")
        tree, work, one = (detect_source(path) for path in (root, root / "W1", root / "W1" / "a.PDF"))
        assert (refs(tree), refs(work), refs(one)) == (["W1/a", "W1/b", "W2/c"], ["W1/a", "W1/b"], ["W1/a"])
        assert tree.name == work.name == one.name == f"pdf+{root.as_uri()}"
        assert (tree.images, work.images, one.images) == (3, 2, 1)

    def test_a_pdf_beside_page_images_is_one_of_them(self, tmp_path: Path) -> None:
        root = put(tmp_path / "scans", "W1/I1/1.jpg", "W1/I1/whole.pdf")
        found = detect_source(root / "W1" / "I1")
        assert (refs(found), found.images, found.outside) == (["W1/I1"], 1, ())
        assert refs(detect_source(root / "W1" / "I1" / "whole.pdf")) == ["I1/whole"]

    def test_page_images_beside_more_pdfs_are_reported(self, tmp_path: Path) -> None:
        root = put(tmp_path / "scans", "W1/a.pdf", "W1/b.pdf", "W1/cover.jpg", "W2/c.pdf")
        found, one = detect_source(root), detect_source(root / "W1")
        assert (refs(found), found.images) == (["W1/a", "W1/b", "W2/c"], 3)
        assert found.outside == (Outside("W1", 1),)
        assert (refs(one), one.outside) == (["W1/a", "W1/b"], (Outside(".", 1),))

    def test_what_lies_in_the_other_layout_is_reported(self, tmp_path: Path) -> None:
        root = put(tmp_path / "scans", "W1/I1/1.jpg", "W1/I1/2.jpg", "W2/c.pdf")
        found = detect_source(root)
        assert (refs(found), found.outside) == (["W1/I1"], (Outside("W2", 1),))

    def test_names_that_cannot_be_used_are_reported(self, tmp_path: Path) -> None:
        root = put(tmp_path / "scans", "W1/a\nb.pdf", "W1/c.pdf", "d\ne/f.pdf")
        found = detect_source(root / "W1")
        assert (refs(found), len(found.rejected)) == (["W1/c"], 1)
        for path in (root / "W1" / "a\nb.pdf", root / "d\ne" / "f.pdf", root / "d\ne"):
            with pytest.raises(UsageError) as caught:
                detect_source(path)
            assert caught.value.code == "E_PATH_NO_IMAGES"

    def test_two_files_of_one_name_are_reported(self, tmp_path: Path) -> None:
        root = put(tmp_path / "scans", "W1/a.pdf", "W1/a.PDF", "W1/b.pdf")
        found = detect_source(root / "W1")
        assert refs(found) == ["W1/b"]
        assert [each.name for each in found.rejected] == ["W1/a.PDF", "W1/a.pdf"]
