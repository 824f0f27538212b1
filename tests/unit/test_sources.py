import gzip
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import anyio
import pytest

from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.ports.job_worker import PageBytes, PageReader
from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.volumes import Page, VolumeRef
from bec_orch.errors import ManifestError, ManifestMissing, PageError, StorageError, UsageError
from bec_orch.io.sources.bdrc import volume_prefix
from bec_orch.io.sources.detect import DetectedSource, Outside, detect_source
from bec_orch.io.sources.pages import Rejected, StorePages
from bec_orch.io.sources.sources import Sources, parse_source, source_name
from bec_orch.io.stores.folders import FolderObjects
from bec_orch.io.stores.objects import Blob, Objects
from bec_orch.io.stores.storage import Stores

if TYPE_CHECKING:
    from bec_orch.io.sources.folder import FolderSource


def put(root: Path, *names: str, data: bytes = b"image") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def folder_source(root: Path, layout: str = "folder") -> ImageSource:
    root.mkdir(parents=True, exist_ok=True)
    return Sources(Stores())(source_name(layout, root.as_uri()))


def volume(w_id: str = "W1", i_id: str = "I1") -> VolumeRef:
    return VolumeRef(w_id, i_id, "folder+file:///x")


def read(reader: PageReader, page: Page) -> PageBytes:
    return anyio.run(reader.read, page)


class TestFolder:
    def test_pages_are_the_images_by_the_numbers_in_their_names(self, tmp_path: Path) -> None:
        put(tmp_path / "W1" / "I1", "10.jpg", "2.TIF", "1.png", "é.jpeg", ".hidden.jpg", "x.txt", "noext", "a b#?.tiff")
        put(tmp_path / "W1" / "I1" / "sub.jpg", "inner.jpg")
        manifest = folder_source(tmp_path).read_manifest(volume(), nb_images_intro=2)
        assert [page.filename for page in manifest.pages] == ["1.png", "2.TIF", "10.jpg", "a b#?.tiff", "é.jpeg"]
        assert [page.skip_reason for page in manifest.pages] == ["intro", "intro", None, None, None]
        assert [page.index for page in manifest.pages] == list(range(5))

    def test_every_file_that_looks_like_a_page_is_one(self, tmp_path: Path) -> None:
        pages = ["1.png", "2.png", "3.webp", "4.gif", "5.heic", "6.bmp", "7.pdf", "8.JP2", "9.djvu", "10.psd"]
        put(tmp_path / "W1" / "I1", *pages, "._1.png", "Thumbs.db", "1.txt", "x.md5", "y.json", "scan")
        manifest = folder_source(tmp_path).read_manifest(volume())
        assert [page.filename for page in manifest.pages] == pages

    def test_numbers_in_names_count_by_their_value(self, tmp_path: Path) -> None:
        names = ["A1.jpg", "a2.jpg", "a2-1.jpg", "a2-10.jpg", "a02b.jpg", "a10.jpg", "B1.jpg", "b༢.jpg", "b༡༠.jpg"]
        put(tmp_path / "W1" / "I1", *sorted(names))
        found = [page.filename for page in folder_source(tmp_path).read_manifest(volume()).pages]
        assert found == names

    def test_the_order_does_not_count_in_the_version(self, tmp_path: Path) -> None:
        """What was done while pages were ordered by code point is found: the version is that digest."""
        root = tmp_path / "W1" / "I1"
        put(root, "1.jpg", "2.jpg", "10.jpg")
        stats = {name: (root / name).stat() for name in ("1.jpg", "10.jpg", "2.jpg")}
        digest = hashlib.sha256()
        for name, stat in stats.items():
            digest.update(f'{name}\0{stat.st_size}\0"{stat.st_mtime_ns // 1000:x}-{stat.st_size:x}"\n'.encode())
        assert folder_source(tmp_path).read_manifest(volume()).etag == digest.hexdigest()

    def test_a_volume_has_the_names_of_its_folders(self, tmp_path: Path) -> None:
        put(tmp_path, "Re\u0301/I1/1.jpg", "\u1e69/I1/1.jpg", "s\u0323\u0307/I1/1.jpg", "W2/e\u0301/1.jpg")
        source = folder_source(tmp_path)
        for typed, meant in (
            (("R\u00e9", "I1"), ("Re\u0301", "I1")),
            (("W2", "\u00e9"), ("W2", "e\u0301")),
            (("s\u0307\u0323", "I1"), ("s\u0307\u0323", "I1")),
            (("R\u00e9", "I2"), ("R\u00e9", "I2")),
        ):
            found = source.spelled(VolumeRef(*typed, source.name))
            assert (found.w_id, found.i_id, found.source) == (*meant, source.name)

    def test_a_folder_that_links_lead_to_is_one_volume(self, tmp_path: Path) -> None:
        root = tmp_path / "scans"
        put(tmp_path, "scans/W2/I1/1.jpg", "scans/apart/deep/I7/1.jpg", "elsewhere/1.jpg", "elsewhere/2.jpg")
        for link, target in (
            ("W3", "W2"),
            ("W2/I0", "I1"),
            ("W2/I7", "../apart/deep/I7"),
            ("W2/I8", "../apart/deep/I7"),
            ("W2/out", tmp_path / "elsewhere"),
            ("W2/two", tmp_path / "elsewhere"),
        ):
            (root / link).symlink_to(target)
        for follow, more in ((False, []), (True, ["W2/out"])):
            found = detect_source(root, follow_links=follow)
            assert [str(one) for one in found.volumes] == ["W2/I1", "W2/I7", *more]
            assert found.images == 2 + 2 * len(more)
            reasons = {one.name: one.reason for one in found.rejected}
            for link in ("W2/I0", "W3/I0", "W3/I1"):
                assert reasons[link] == "is a link to W2/I1, which is a volume already"
            for link in ("W2/I8", "W3/I7", "W3/I8"):
                assert reasons[link] == "is a link to W2/I7, which is a volume already"
            assert ("out of its source" in reasons.get("W2/out", "")) is not follow
        assert {"W2/out", "W2/two"} <= {one.name for one in detect_source(root).rejected}

    def test_a_volume_that_a_link_out_of_the_source_stands_for_is_refused(self, tmp_path: Path) -> None:
        put(tmp_path, "elsewhere/1.jpg")
        (tmp_path / "scans" / "W1").mkdir(parents=True)
        (tmp_path / "scans" / "W1" / "I1").symlink_to(tmp_path / "elsewhere")
        name = source_name("folder", (tmp_path / "scans").as_uri())
        with pytest.raises(ManifestError, match="link that leads out of its source") as caught:
            Sources(Stores())(name).read_manifest(volume())
        assert caught.value.code == "E_VOLUME_LINK"
        allowed = Sources(Stores(follow_links=True))(name)
        manifest = allowed.read_manifest(volume())
        assert read(allowed.pages(manifest), manifest.pages[0]).data == b"image"

    def test_links_are_followed_below_the_source_and_elsewhere_where_it_is_asked_for(self, tmp_path: Path) -> None:
        put(tmp_path, "elsewhere/1.jpg", "scans/all/2.jpg")
        root = tmp_path / "scans" / "W1" / "I1"
        root.mkdir(parents=True)
        (root / "1.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
        (root / "2.jpg").symlink_to("../../all/2.jpg")
        (root / "3.jpg").symlink_to(tmp_path / "elsewhere")
        (root / "4.jpg").symlink_to("4.jpg")
        for follow, bad in ((False, ["1.jpg", "3.jpg", "4.jpg"]), (True, ["3.jpg", "4.jpg"])):
            source = Sources(Stores(follow_links=follow))(source_name("folder", (tmp_path / "scans").as_uri()))
            manifest = source.read_manifest(volume())
            for page in manifest.pages:
                if page.filename in bad:
                    with pytest.raises(PageError, match="leads out of its source, or to no file") as caught:
                        read(source.pages(manifest), page)
                    assert (caught.value.code, "--follow-links" in caught.value.hint) == ("E_PAGE_LINK", True)
                else:
                    found = read(source.pages(manifest), page)
                    assert (found.data, found.etag, len(found.data)) == (b"image", page.etag, page.size)

    @pytest.mark.parametrize("named", ["", "W1", "W1/I1"])
    def test_links_are_followed_below_the_path_that_was_named(self, tmp_path: Path, named: str) -> None:
        put(tmp_path, "in.jpg", "W1/in.jpg", "W1/I1/in.jpg")
        for number, up in enumerate(("in.jpg", "../in.jpg", "../../in.jpg")):
            (tmp_path / "W1" / "I1" / f"{number}.jpg").symlink_to(up)
        (tmp_path / "W1" / "I2").symlink_to("..")
        (tmp_path / "W1" / "I3").symlink_to("I1")
        followed = 3 - len(Path(named).parts)
        limited = Stores(links_below=tmp_path / named)
        for stores, expected in ((limited, followed), (Stores(follow_links=True), 3)):
            source = stores.open(tmp_path.as_uri())
            assert [not source.is_link(f"W1/I1/{number}.jpg") for number in range(3)].count(True) == expected
        root = limited.open(tmp_path.as_uri())
        assert (root.real_prefix("W1/I3"), root.real_prefix("W1/I2")) == ("W1/I1", None if named else "")
        put(tmp_path, "W1/I9/in.jpg")
        assert root.real_prefix("W1/I9") == "W1/I9", "what lies beside the path is behind no link"
        # A store that does not hold the path knows its own folder alone.
        other = limited.open((tmp_path / "W1" / "I1").as_uri())
        assert [other.is_link(f"{number}.jpg") for number in range(3)] == [False, True, True]

    def test_what_is_read_has_the_etag_and_size_of_the_listing(self, tmp_path: Path) -> None:
        put(tmp_path / "W1" / "I1", "1 ü#?.jpg")
        source = folder_source(tmp_path)
        manifest = source.read_manifest(volume())
        [page] = manifest.pages
        assert read(source.pages(manifest), page) == PageBytes(b"image", page.etag or "")
        assert page.size == 5

    @pytest.mark.parametrize(
        "change",
        [
            lambda root: put(root, "3.jpg"),
            lambda root: put(root, "1.jpg", data=b"other"),
            lambda root: os.utime(root / "1.jpg", ns=(1, 10**18)),
            lambda root: (root / "1.jpg").rename(root / "0.jpg"),
            lambda root: (root / "1.jpg").unlink(),
        ],
        ids=["added", "rewritten", "touched", "renamed", "removed"],
    )
    def test_the_version_follows_the_images(self, tmp_path: Path, change: Callable[[Path], None]) -> None:
        root = tmp_path / "W1" / "I1"
        put(root, "1.jpg", "2.jpg")
        os.utime(root / "1.jpg", ns=(1, 10**17))
        source = folder_source(tmp_path)
        before = source.manifest_etag(volume())
        put(root, "notes.txt")
        assert source.manifest_etag(volume()) == before
        change(root)
        after = source.manifest_etag(volume())
        assert after not in {before, None}
        assert source.read_manifest(volume()).etag == after

    def test_a_missing_and_an_empty_volume_are_distinguished(self, tmp_path: Path) -> None:
        (tmp_path / "W1" / "I1").mkdir(parents=True)
        source = folder_source(tmp_path)
        for i_id, code in [("I1", "E_MANIFEST_EMPTY"), ("I2", "E_MANIFEST_MISSING")]:
            with pytest.raises(ManifestError) as caught:
                source.read_manifest(volume(i_id=i_id))
            assert caught.value.code == code
            assert f"W1/{i_id}" in caught.value.message
            assert source.manifest_etag(volume(i_id=i_id)) is None

    def test_a_hostile_name_refuses_the_volume(self, tmp_path: Path) -> None:
        put(tmp_path / "W1" / "I1", "1.jpg", "a\nb.jpg")
        with pytest.raises(ManifestError) as caught:
            folder_source(tmp_path).read_manifest(volume())
        assert caught.value.code == "E_NAME_UNSAFE"

    def test_the_same_on_a_store_without_folders(self) -> None:
        stores = Stores()
        objects = stores.open("memory://scans")
        objects.create("W1/I1/1.jpg", b"image")
        objects.create("W1/I2/notes.txt", b"")
        source = Sources(stores)("folder+memory://scans")
        assert [str(ref) for ref in source.volumes()] == ["W1/I1"]
        assert len(source.read_manifest(volume()).pages) == 1
        with pytest.raises(ManifestError) as caught:
            source.read_manifest(volume(i_id="I3"))
        assert caught.value.code == "E_MANIFEST_MISSING"

    def test_volumes_are_listed_and_bad_names_passed_over(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        put(tmp_path, "W2/I1/1.jpg", "W1/I2/1.PNG", "W1/I1/1.tiff", ".git/x/1.jpg", "W1/.tmp/1.jpg", "out/a/b/c/1.jpg")
        put(tmp_path, "W3/bad\nname/1.jpg", "W3/ blank/1.jpg", "stray.jpg", "W4/stray.jpg")
        (tmp_path / "W5" / "empty").mkdir(parents=True)
        assert [str(ref) for ref in folder_source(tmp_path).volumes()] == ["W1/I1", "W1/I2", "W2/I1"]
        ignored = [record.__dict__["folder"] for record in caplog.records if record.message == "volume_folder_ignored"]
        assert ignored == ["W3/ blank", "W3/bad\nname", "W4", "W5/empty", "."]

    def test_a_folder_that_may_not_be_read_stops_no_other(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(tmp_path, "W1/I1/1.jpg", "W1/I2/1.jpg", "W2/I1/1.jpg")
        real = os.scandir

        def scandir(path: Path) -> object:
            if str(path).endswith(("W1/I1", "W2")):
                raise PermissionError(13, "Permission denied")
            return real(path)

        monkeypatch.setattr(os, "scandir", scandir)
        found = detect_source(tmp_path)
        assert [str(ref) for ref in found.volumes] == ["W1/I2"]
        assert [(each.name, "not allowed" in each.reason) for each in found.rejected] == [("W1/I1", True), ("W2", True)]

    def test_another_fault_of_the_store_is_not_swallowed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(tmp_path, "W1/I1/1.jpg")
        real = FolderObjects.list

        def away(self: FolderObjects, prefix: str) -> object:
            if prefix == "W1":
                raise StorageError("The disk is away.")
            return real(self, prefix)

        monkeypatch.setattr(FolderObjects, "list", away)
        with pytest.raises(StorageError):
            list(folder_source(tmp_path).volumes())


class TestPages:
    def reader(self, tmp_path: Path, **more: int) -> StorePages:
        return StorePages(FolderObjects(tmp_path), "v", **more)

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("missing.jpg", "E_PAGE_MISSING"),
            ("empty.jpg", "E_IMAGE_EMPTY"),
            ("large.jpg", "E_IMAGE_TOO_LARGE"),
            ("link.jpg", "E_PAGE_LINK"),
        ],
    )
    def test_a_page_that_cannot_be_read_is_a_page_error(self, tmp_path: Path, name: str, code: str) -> None:
        put(tmp_path / "v", "empty.jpg", data=b"")
        put(tmp_path / "v", "large.jpg", data=b"x" * 11)
        (tmp_path / "v" / "link.jpg").symlink_to("/etc/passwd")
        with pytest.raises(PageError) as caught:
            read(self.reader(tmp_path, max_bytes=10), Page(0, name))
        assert (caught.value.code, caught.value.stage) == (code, "fetch")
        assert name in caught.value.message

    def test_a_page_that_is_there_when_one_looks_again_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        put(tmp_path / "v", "1.jpg", data=b"image")
        real, looks = FolderObjects.read_async, []

        async def away_once(self: FolderObjects, key: str, *, limit: int | None = None) -> Blob | None:
            looks.append(key)
            return await real(self, key, limit=limit) if len(looks) > 1 else None

        monkeypatch.setattr(FolderObjects, "read_async", away_once)
        assert read(self.reader(tmp_path), Page(0, "1.jpg")).data == b"image"

    def test_an_empty_store_lacks_no_page(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError) as caught:
            read(self.reader(tmp_path), Page(0, "1.jpg"))
        assert caught.value.code == "E_STORAGE_EMPTY"

    def test_a_store_that_is_away_is_no_page_error(self, tmp_path: Path) -> None:
        (tmp_path / "root").mkdir()
        reader = StorePages(FolderObjects(tmp_path / "root"), "v")
        (tmp_path / "root").rmdir()
        with pytest.raises(StorageError):
            read(reader, Page(0, "1.jpg"))


def library(objects: Objects, w_id: str, i_id: str, *names: str) -> None:
    prefix = volume_prefix(w_id, i_id)
    entries = [{"filename": name, "width": 1, "height": 2} for name in names]
    objects.create(f"{prefix}/dimensions.json", gzip.compress(json.dumps(entries).encode(), mtime=0))
    for name in names:
        objects.create(f"{prefix}/{name}", b"image")


class TestBdrc:
    @pytest.mark.parametrize(
        ("w_id", "i_id", "prefix"),
        [
            ("W22084", "I0886", "Works/60/W22084/images/W22084-0886"),
            ("W28974", "I1KG12439", "Works/e0/W28974/images/W28974-I1KG12439"),
            ("W9209", "I3083", "Works/1f/W9209/images/W9209-3083"),
        ],
    )
    def test_keys(self, w_id: str, i_id: str, prefix: str) -> None:
        assert volume_prefix(w_id, i_id) == prefix

    def test_reads_a_volume(self, tmp_path: Path) -> None:
        objects = FolderObjects(tmp_path)
        library(objects, "W22084", "I0886", "08860001.tif", "08860002.tif", "08860003.tif")
        objects.delete([f"{volume_prefix('W22084', 'I0886')}/08860003.tif"])
        source = folder_source(tmp_path, "bdrc")
        ref = VolumeRef("W22084", "I0886", source.name)
        manifest = source.read_manifest(ref, nb_images_intro=1)
        assert [(page.skip_reason, page.width, page.size) for page in manifest.pages] == [
            ("intro", 1, 5),
            (None, 1, 5),
            (None, 1, None),
        ]
        assert source.manifest_etag(ref) == manifest.etag
        assert read(source.pages(manifest), manifest.pages[1]).etag == manifest.pages[1].etag
        with pytest.raises(PageError) as caught:
            read(source.pages(manifest), manifest.pages[2])
        assert caught.value.code == "E_PAGE_MISSING"

    def test_a_manifest_replaced_in_place_is_another_version(self, tmp_path: Path) -> None:
        objects = FolderObjects(tmp_path)
        library(objects, "W1", "I1", "1.jpg")
        source = folder_source(tmp_path, "bdrc")
        before = source.read_manifest(volume())
        path = tmp_path / volume_prefix("W1", "I1") / "dimensions.json"
        with path.open("r+b") as file:
            file.write(gzip.compress(b'[{"filename": "2.jpg"}]'))
            file.truncate()
        after = source.read_manifest(volume())
        assert ArtefactLocation("j", volume(), before.version) != ArtefactLocation("j", volume(), after.version)

    def test_a_missing_manifest_is_named(self, tmp_path: Path) -> None:
        put(tmp_path, "Works/00/W1/images/W1-0001/1.jpg")
        source = folder_source(tmp_path, "bdrc")
        with pytest.raises(ManifestMissing) as caught:
            source.read_manifest(volume("W22084", "I0886"))
        assert caught.value.code == "E_MANIFEST_MISSING"
        assert "Works/60/W22084/images/W22084-0886/dimensions.json" in caught.value.message
        assert source.manifest_etag(volume("W22084", "I0886")) is None

    def test_a_manifest_that_is_listed_is_not_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        library(FolderObjects(tmp_path), "W1", "I1", "1.jpg")
        source = folder_source(tmp_path, "bdrc")
        monkeypatch.setattr(FolderObjects, "_read", lambda *_: None)
        for look in (lambda: source.read_manifest(volume()), lambda: source.manifest_etag(volume())):
            with pytest.raises(StorageError, match=r"lists .*dimensions\.json', but does not find it"):
                look()

    @pytest.mark.parametrize("layout", ["folder", "flat", "bdrc"])
    def test_an_empty_source_lacks_no_volume(self, tmp_path: Path, layout: str) -> None:
        source = folder_source(tmp_path, layout)
        for look in (
            lambda: source.read_manifest(volume()),
            lambda: source.manifest_etag(volume()),
            lambda: list(source.volumes()),
        ):
            with pytest.raises(StorageError) as caught:
                look()
            assert caught.value.code == "E_STORAGE_EMPTY"

    @pytest.mark.parametrize("layout", ["folder", "bdrc"])
    def test_lists_the_files_that_lie_there(self, tmp_path: Path, layout: str) -> None:
        library(FolderObjects(tmp_path), "W1", "I1", "1.jpg")
        put(tmp_path, "W1/I1/1.jpg", "W1/I1/notes.txt")
        beside = "notes.txt" if layout == "folder" else "dimensions.json"
        assert folder_source(tmp_path, layout).filenames(volume()) == {"1.jpg", beside}

    def test_a_manifest_of_absurd_size_is_not_read(self, tmp_path: Path) -> None:
        path = tmp_path / volume_prefix("W1", "I1") / "dimensions.json"
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            file.truncate(65 * 1024 * 1024)
        with pytest.raises(ManifestError) as caught:
            folder_source(tmp_path, "bdrc").read_manifest(volume())
        assert caught.value.code == "E_MANIFEST_TOO_LARGE"

    def test_lists_the_volumes_that_have_a_manifest(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        objects = FolderObjects(tmp_path)
        names = [("W22084", "I0886"), ("W22084", "I0887"), ("W28974", "I1KG12439"), ("W9209", "I12345")]
        for w_id, i_id in names:
            library(objects, w_id, i_id, "1.tif")
        put(tmp_path, "Works/e0/W28974/images/W2874-I1KG12439/dimensions.json")
        put(tmp_path, "Works/e0/W28974/images/W28974-I0001/dimensions.json")
        put(tmp_path, "Works/e0/W28974/images/W28974-no-manifest/1.tif")
        put(tmp_path, f"{volume_prefix('W28974', ' x')}/dimensions.json")
        source = folder_source(tmp_path, "bdrc")
        assert sorted((ref.w_id, ref.i_id) for ref in source.volumes()) == sorted(names)
        ignored = [record for record in caplog.records if record.message == "volume_folder_ignored"]
        assert sorted(record.__dict__["reason"].split(":")[0] for record in ignored) == [
            "has a name that cannot be used",
            "has no manifest dimensions.json",
            "is not where a volume of its name and work belongs",
            "is not where a volume of its name and work belongs",
        ]

    def test_reads_a_real_manifest(self, tmp_path: Path, shared_data: Path) -> None:
        real = (shared_data / "s3_facts" / "W22084-0890.dimensions.json").read_bytes()
        put(tmp_path, f"{volume_prefix('W22084', 'I0890')}/dimensions.json", data=real)
        pages = folder_source(tmp_path, "bdrc").read_manifest(volume("W22084", "I0890")).pages
        assert pages[0].filename == "08900001.tif"
        assert len(pages) == len(json.loads(real)) - 1


class TestNames:
    def test_names_are_layout_and_url(self) -> None:
        assert source_name("bdrc", "s3://archive.tbrc.org/") == "bdrc+s3://archive.tbrc.org"
        assert source_name("folder", "file:///") == "folder+file:///"
        assert parse_source("bdrc+s3://archive.tbrc.org") == ("bdrc", "s3://archive.tbrc.org")
        assert parse_source("folder+file:///a+b") == ("folder", "file:///a+b")

    @pytest.mark.parametrize("name", ["", "s3://x", "folder+/plain", "folder", "folder+s3://[x", "iiif+http://x]/a"])
    def test_other_names_are_refused(self, name: str) -> None:
        with pytest.raises(UsageError) as caught:
            Sources(Stores())(name)
        assert caught.value.code == "E_SOURCE_NAME"

    def test_a_layout_must_be_known(self) -> None:
        with pytest.raises(UsageError):
            source_name("djvu", "https://x")

    def test_each_source_is_opened_once(self, tmp_path: Path) -> None:
        sources = Sources(Stores())
        assert sources(f"folder+{tmp_path.as_uri()}") is sources(f"folder+{tmp_path.as_uri()}")


def refs(found: DetectedSource) -> list[str]:
    return [str(ref) for ref in found.volumes]


class TestDetect:
    def test_a_tree_a_work_and_a_volume_are_the_same_source(self, tmp_path: Path) -> None:
        root = tmp_path / "my scans"
        put(root, "W1/I1/1.jpg", "W1/I2/1.TIFF", "W2/I1/1.png")
        tree, work, one = (detect_source(path) for path in (root, root / "W1", root / "W1" / "I2"))
        assert (refs(tree), refs(work), refs(one)) == (["W1/I1", "W1/I2", "W2/I1"], ["W1/I1", "W1/I2"], ["W1/I2"])
        assert tree.name == work.name == one.name == f"folder+{root.as_uri()}"
        assert one.volumes[0].source == one.name
        Sources(Stores())(one.name).read_manifest(one.volumes[0])

    def test_a_folder_of_more_than_is_looked_through_is_left(self, tmp_path: Path) -> None:
        put(tmp_path, "W1/I1/1.jpg", "W1/I1/2.jpg")
        assert refs(detect_source(tmp_path, most_files=5)) == ["W1/I1"]
        with pytest.raises(UsageError, match="holds more than 4 files and folders") as caught:
            detect_source(tmp_path, most_files=4)
        assert caught.value.code == "E_PATH_LARGE"

    def test_a_relative_path_is_made_whole(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        put(tmp_path, "W1/I1/1.jpg")
        monkeypatch.chdir(tmp_path / "W1")
        assert detect_source(Path("I1")) == detect_source(tmp_path / "W1" / "I1")

    def test_a_volume_below_an_unusable_name_is_a_source_of_its_own(self, tmp_path: Path) -> None:
        put(tmp_path, "a\nb/scans/1.jpg")
        found = detect_source(tmp_path / "a\nb" / "scans")
        assert refs(found) == ["scans/scans"]
        assert found.name.startswith("flat+file://")
        manifest = Sources(Stores())(found.name).read_manifest(found.volumes[0])
        assert [page.filename for page in manifest.pages] == ["1.jpg"]

    def test_the_library_layout_from_anywhere_in_it(self, tmp_path: Path) -> None:
        objects = FolderObjects(tmp_path)
        for w_id, i_id in [("W22084", "I0886"), ("W22084", "I0887"), ("W28974", "I1KG1")]:
            library(objects, w_id, i_id, "1.tif")
        for below, count in [("", 3), ("Works", 3), ("Works/60", 2), (volume_prefix("W22084", "I0886"), 1)]:
            found = detect_source(tmp_path / below)
            assert found.name == f"bdrc+{tmp_path.as_uri()}"
            assert len(found.volumes) == count

    def test_a_volume_of_the_library_without_a_manifest_is_reported(self, tmp_path: Path) -> None:
        library(FolderObjects(tmp_path), "W22084", "I0886", "1.tif")
        lacking = volume_prefix("W22084", "I0887")
        put(tmp_path, f"{lacking}/1.tif")
        for below, rejected in [("", [lacking]), (volume_prefix("W22084", "I0886"), [])]:
            found = detect_source(tmp_path / below)
            assert refs(found) == ["W22084/I0886"]
            assert [each.name for each in found.rejected] == rejected

    def test_a_folder_that_is_only_called_works_is_a_tree(self, tmp_path: Path) -> None:
        put(tmp_path, "Works/scans/W1/I1/1.jpg")
        assert detect_source(tmp_path / "Works" / "scans").name.startswith("folder+")

    def test_bad_names_are_reported_with_their_reason(self, tmp_path: Path) -> None:
        put(tmp_path, "W1/I1/1.jpg", "W1/I1/2.jpg", "W1/I\t2/1.jpg", "W2/1.jpg")
        found = detect_source(tmp_path)
        assert refs(found) == ["W1/I1"]
        assert [each.name for each in found.rejected] == ["W1/I\t2", "W2"]
        assert "control character" in found.rejected[0].reason

    def test_most_images_decide_the_layout_and_the_others_are_reported(self, tmp_path: Path) -> None:
        put(tmp_path / "s", "b1/1.jpg", "b1/thumbs/1.jpg", "b2/1.jpg", "b2/._1.jpg", "b2/1.txt", "b2/Thumbs.db", "b2/x")
        found = detect_source(tmp_path / "s")
        assert (refs(found), found.layout, found.images) == (["s/b1", "s/b2"], "VOLUME/images", 2)
        assert found.outside == (Outside("b1/thumbs", 1),)
        assert found.passed_over == {"hidden": 1, "sidecar": 1, "system": 1, "other": 1}
        source = Sources(Stores())(found.name)
        assert [source.read_manifest(each).passed_over for each in found.volumes] == [{}, found.passed_over]

    def test_of_two_layouts_that_are_as_good_the_other_is_reported(self, tmp_path: Path) -> None:
        put(tmp_path / "s", "b1/1.jpg", "W1/I1/1.jpg")
        found = detect_source(tmp_path / "s")
        assert (found.layout, found.as_good) == ("WORK/VOLUME/images", "VOLUME/images")
        assert detect_source(tmp_path / "s" / "W1").as_good == ""

    def test_images_below_a_volume_are_outside(self, tmp_path: Path) -> None:
        put(tmp_path / "t", "W/U/p.jpg", "W/X/a/p.jpg", ".cache/p.jpg")
        found = detect_source(tmp_path / "t")
        assert (refs(found), found.outside, found.images_outside) == (["W/U"], (Outside("W/X/a", 1),), 1)

    def test_a_path_with_more_images_outside_than_inside_is_refused(self, tmp_path: Path) -> None:
        put(tmp_path / "t", "W/U/p.jpg", *(f"W/X/{name}/p.jpg" for name in "abcd"))
        with pytest.raises(UsageError, match=r"1 image in volumes .* and 4 elsewhere: 'W/X/a' \(1\)") as caught:
            detect_source(tmp_path / "t")
        assert caught.value.code == "E_PATH_LAYOUT"

    def test_images_deeper_than_any_volume_are_not_called_none(self, tmp_path: Path) -> None:
        put(tmp_path / "t", "a/b/c/1.jpg")
        with pytest.raises(UsageError, match="holds page images, but none where") as caught:
            detect_source(tmp_path / "t")
        assert caught.value.code == "E_PATH_NO_IMAGES"

    def test_what_is_left_out_says_what_to_do_by_its_kind(self, tmp_path: Path) -> None:
        put(tmp_path / "s", "W1/I1/1.jpg", "W1/I\n2/1.jpg", "W2/1.jpg", "W2/I1/1.jpg", "elsewhere/I1/1.jpg")
        (tmp_path / "s" / "W1" / "I3").mkdir()
        (tmp_path / "s" / "W1" / "I4").symlink_to("I1")
        (tmp_path / "s" / "W1" / "I5").symlink_to(tmp_path)
        put(tmp_path, "1.jpg")
        found = detect_source(tmp_path / "s")
        hints = {each.name: each.hint for each in found.rejected}
        assert hints["W1/I\n2"] == "Rename it."
        assert "a folder for each volume" in hints["W2"]
        assert "Put them there" in hints["W1/I3"]
        assert "under its own name" in hints["W1/I4"]
        assert "--follow-links" in hints["W1/I5"]

    def test_a_flat_source_has_one_volume(self, tmp_path: Path) -> None:
        put(tmp_path, "my scans/1.jpg", "my scans/inner/deep/1.jpg", " x/1.jpg")
        assert [str(each) for each in folder_source(tmp_path / "my scans", "flat").volumes()] == ["my scans/my scans"]
        assert list(folder_source(tmp_path / " x", "flat").volumes()) == []

    @pytest.mark.parametrize(
        ("names", "code", "words"),
        [
            (None, "E_PATH_MISSING", "There is no folder"),
            ([], "E_PATH_NO_IMAGES", "is empty"),
            (["notes.txt"], "E_PATH_NO_IMAGES", "holds no page images"),
            (["W1/I1/notes.txt"], "E_PATH_NO_IMAGES", "'W1/I1' has no images in it"),
            (["W1/I\n1/1.jpg"], "E_PATH_NO_IMAGES", "control character"),
        ],
    )
    def test_nothing_to_do_is_a_usage_error(
        self, tmp_path: Path, names: list[str] | None, code: str, words: str
    ) -> None:
        path = tmp_path / "scans"
        if names is not None:
            path.mkdir()
            put(path, *names)
        with pytest.raises(UsageError) as caught:
            detect_source(path)
        assert caught.value.code == code
        assert words in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint

    def test_a_volume_whose_own_name_cannot_be_used(self, tmp_path: Path) -> None:
        put(tmp_path, "a\nb/1.jpg")
        with pytest.raises(UsageError, match="name that cannot be used"):
            detect_source(tmp_path / "a\nb")

    def test_a_file_is_not_a_folder(self, tmp_path: Path) -> None:
        put(tmp_path, "1.jpg")
        with pytest.raises(UsageError) as caught:
            detect_source(tmp_path / "1.jpg")
        assert caught.value.code == "E_PATH_NOT_FOLDER"

    def test_a_folder_that_may_not_be_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def denied(_: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "iterdir", denied)
        with pytest.raises(UsageError) as caught:
            detect_source(tmp_path)
        assert caught.value.code == "E_PATH_UNREADABLE"


class TestDocumentsInTheScans:
    """What `bec export --format pdf --out` wrote into the folder that was read."""

    def scans(self, folder: Path) -> Path:
        put(folder, "W1/I1/1.jpg", "W1/I2/1.jpg")
        return folder

    def export(self, folder: Path) -> None:
        for volume in ("I1", "I2"):
            put(
                folder / "W1" / volume,
                f"W1-{volume}.pdf",
                "pdf/1.pdf",
                "export-pdf-volume.json",
                "export-pdf-page.json",
            )

    @pytest.mark.parametrize("below", ["", "W1", "W1/I1"])
    def test_are_no_pages_and_counted(self, tmp_path: Path, below: str) -> None:
        before = detect_source(self.scans(tmp_path) / below)
        etags = [folder_source(tmp_path).manifest_etag(each) for each in before.volumes]
        self.export(tmp_path)
        after = detect_source(tmp_path / below)
        assert (after.volumes, after.images, after.outside, after.rejected) == (before.volumes, before.images, (), ())
        assert after.passed_over["own"] == 2 * len(after.volumes)
        assert [folder_source(tmp_path).manifest_etag(each) for each in after.volumes] == etags
        manifest = folder_source(tmp_path).read_manifest(volume())
        assert ([page.filename for page in manifest.pages], manifest.passed_over["own"]) == (["1.jpg"], 1)

    def test_are_no_volumes_of_pdfs(self, tmp_path: Path) -> None:
        put(tmp_path, "W1/I1.pdf", "W1/I2.pdf")
        self.export(tmp_path)
        for below in ("", "W1"):
            assert [str(each) for each in detect_source(tmp_path / below).volumes] == ["W1/I1", "W1/I2"]
        assert list(folder_source(tmp_path / "W1", "pdf").volumes()) == []

    def test_are_no_scans_where_they_lie_alone(self, tmp_path: Path) -> None:
        self.export(tmp_path)
        for below in ("", "W1", "W1/I1"):
            with pytest.raises(UsageError, match=r"holds no page images|no volume that can be used"):
                detect_source(tmp_path / below)

    @pytest.mark.parametrize("record", ["", "export-pdf-page.json", "export-txt-volume.json"])
    def test_a_pdf_of_that_name_without_their_record_is_a_page(self, tmp_path: Path, record: str) -> None:
        put(self.scans(tmp_path) / "W1" / "I1", "W1-I1.pdf", *([record] if record else []))
        assert len(folder_source(tmp_path).read_manifest(volume()).pages) == 2

    @pytest.mark.parametrize("name", ["W1-I2.pdf", "2.pdf", "W1-I1.jpg"])
    def test_another_file_beside_their_record_is_a_page(self, tmp_path: Path, name: str) -> None:
        put(self.scans(tmp_path) / "W1" / "I1", name, "export-pdf-volume.json", "export-pdf-page.json")
        assert len(folder_source(tmp_path).read_manifest(volume()).pages) == 2


class TestWorkspaceInTheScans:
    """What an earlier run wrote into the folder that it read."""

    def workspace(self, folder: Path, *marks: str) -> None:
        put(folder, *marks, data=b"")
        put(folder, "overlays/W1/I1.jpg", "overlays/W1/I1/pages/1.jpg", "exports/ldv1/W1/I1/W1-I1.pdf", "pg/data/PG")

    @pytest.mark.parametrize("inside", [".", "out", "W1", "W1/out", "W1/I1"])
    @pytest.mark.parametrize(
        "marks", [("identity", "run.lock"), ("identity", "destination"), ("identity", "run.lock", "destination")]
    )
    def test_is_no_scan_and_counted(self, tmp_path: Path, inside: str, marks: tuple[str, ...]) -> None:
        put(tmp_path / "W1" / "I1", "1.jpg", "2.jpg")
        self.workspace(tmp_path / inside, *marks)
        found = detect_source(tmp_path)
        assert [str(each) for each in found.volumes] == ["W1/I1"]
        assert (found.images, found.outside, found.rejected, found.passed_over) == (2, (), (), {"own": 3})
        assert list(map(str, folder_source(tmp_path).volumes())) == ["W1/I1"]

    @pytest.mark.parametrize("room", ["work", "logs", "models", "workers"])
    @pytest.mark.parametrize("inside", [".", "out", "W1"])
    def test_has_no_folders_that_lack_images(self, tmp_path: Path, inside: str, room: str) -> None:
        put(tmp_path / "W1" / "I1", "1.jpg")
        self.workspace(tmp_path / inside, "identity", "run.lock")
        folder = tmp_path / inside / room / ("left" if inside == "." else "")
        folder.mkdir(parents=True)
        assert detect_source(tmp_path).rejected == ()
        (tmp_path / inside / "identity").unlink()
        scan = cast("FolderSource", folder_source(tmp_path)).scan()
        told = [each.name for each in scan if isinstance(each, Rejected)]
        assert folder.relative_to(tmp_path).as_posix() in told

    def test_of_one_work_is_no_volume_of_it(self, tmp_path: Path) -> None:
        put(tmp_path / "W1", "I1/1.jpg", "overlays/1.jpg", "identity", "run.lock")
        assert [str(each) for each in detect_source(tmp_path / "W1").volumes] == ["W1/I1"]

    @pytest.mark.parametrize("marks", [("identity",), ("run.lock", "destination"), ()])
    def test_folders_of_its_names_are_scans_where_no_workspace_is(self, tmp_path: Path, marks: tuple[str, ...]) -> None:
        self.workspace(tmp_path, *marks)
        put(tmp_path / "exports" / "I1", "1.jpg")
        found = detect_source(tmp_path)
        assert [str(each) for each in found.volumes] == ["exports/I1", "overlays/W1"]
        assert "own" not in found.passed_over

    def test_other_folders_of_a_workspace_are_scans(self, tmp_path: Path) -> None:
        self.workspace(tmp_path, "identity", "run.lock")
        put(tmp_path, "work/I1/1.jpg", "models/I1/1.jpg")
        assert [str(each) for each in detect_source(tmp_path).volumes] == ["models/I1", "work/I1"]
