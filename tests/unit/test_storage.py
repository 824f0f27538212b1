import errno
import os
import resource
import signal
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest
from obstore.exceptions import GenericError

from bec_orch.errors import BecError, ConfigError, DiskFullError, NameUnsafeError, StorageError
from bec_orch.io.stores.errors import store_errors
from bec_orch.io.stores.folders import FolderObjects
from bec_orch.io.stores.objects import Objects, Retries
from bec_orch.io.stores.storage import S3Options, Stores, path_of
from tests.unit.stub_s3 import ETAG, StubS3, stub_s3

AT_ONCE = Retries(attempts=4, wait_initial=0.001, wait_max=0.002)
ODD_NAMES = [
    "a b.jpg",
    "a#b.jpg",
    "a?b.jpg",
    "100%.jpg",
    "..%2f.jpg",
    "a%20b.jpg",
    unicodedata.normalize("NFC", "é.jpg"),
    unicodedata.normalize("NFD", "é.jpg"),
    "བོད་ཡིག.jpg",
    "[a]{b}~*&+:.jpg",
]


@pytest.fixture
def folder(tmp_path: Path) -> FolderObjects:
    return FolderObjects(tmp_path / "store", AT_ONCE, create=True)


@pytest.fixture
def memory() -> Objects:
    return Stores(retries=AT_ONCE).open("memory://test")


@pytest.fixture(params=["folder", "memory"])
def objects(request: pytest.FixtureRequest) -> Objects:
    found: Objects = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubS3]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with stub_s3() as server:
        yield server


def bucket(s3: StubS3, url: str = "s3://bucket/pre%20fix") -> Objects:
    return Stores(S3Options(s3.url, "us-east-1"), AT_ONCE).open(url)


class TestObjects:
    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names_come_back_as_they_are(self, objects: Objects, name: str) -> None:
        assert objects.create(f"W 1/{name}", b"bytes")
        [entry] = objects.list("W 1").objects
        assert (entry.name, entry.size) == (name, 5)
        found = objects.read(entry.key)
        assert found is not None
        assert (found.data, found.etag) == (b"bytes", entry.etag)

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_names_are_readable_file_names(self, folder: FolderObjects, tmp_path: Path, name: str) -> None:
        folder.create(f"W 1/{name}", b"")
        assert [path.name for path in (tmp_path / "store" / "W 1").iterdir()] == [name]

    def test_what_is_not_there_is_none(self, objects: Objects) -> None:
        assert objects.read("no/such") is None
        assert objects.head("no/such") is None
        assert objects.version_at("no/such") is None
        assert objects.list("no/such").exists is False
        objects.delete(["no/such"])

    def test_walks_all_that_lies_below_and_nothing_beside(self, objects: Objects) -> None:
        for key in ("a/2/x", "a/1", "a/2/deep/er/y", "ab/1", "b"):
            objects.create(key, b"")
        assert sorted(entry.key for entry in objects.walk("a")) == ["a/1", "a/2/deep/er/y", "a/2/x"]
        assert len(list(objects.walk(""))) == 5
        assert list(objects.walk("c")) == []

    def test_walks_page_by_page(self, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bec_orch.io.stores.objects._PAGE", 3)
        for number in range(7):
            objects.create(f"a/{number}", b"")
        assert [entry.name for entry in objects.walk("a")] == [*"0123456"]

    def test_creates_only_once(self, objects: Objects) -> None:
        assert objects.create("key", b"first")
        assert not objects.create("key", b"second")
        found = objects.read("key")
        assert found is not None
        assert found.data == b"first"

    def test_replaces_only_the_version_it_is_to_replace(self, objects: Objects) -> None:
        objects.create("key", b"first")
        first = objects.version_at("key")
        assert first is not None
        assert objects.replace("key", b"second", first)
        assert not objects.replace("key", b"third", first)
        assert not objects.replace("no/such", b"third", first)
        found = objects.read("key")
        assert found is not None
        assert found.data == b"second"

    def test_reads_nothing_above_the_limit(self, objects: Objects) -> None:
        objects.create("key", b"12345")
        found = objects.read("key", limit=4)
        assert found is not None
        assert (found.data, found.size) == (b"", 5)
        asynchronous = anyio.run(lambda: objects.read_async("key", limit=5))
        assert asynchronous is not None
        assert asynchronous.data == b"12345"

    def test_opens_as_a_seekable_file(self, objects: Objects) -> None:
        objects.create("key", bytes(range(200)))
        entry = objects.head("key")
        assert entry is not None
        with objects.open(entry) as file:
            file.seek(-10, os.SEEK_END)
            assert file.read() == bytes(range(190, 200))
            assert file.seek(5) == 5
            assert file.read(3) == bytes([5, 6, 7])
            assert file.tell() == 8

    def test_a_file_that_goes_away_while_it_is_read_is_a_storage_error(self, objects: Objects) -> None:
        objects.create("key", b"12345")
        entry = objects.head("key")
        assert entry is not None
        objects.delete(["key"])
        with objects.open(entry) as file, pytest.raises(StorageError):
            file.read()

    def test_a_file_that_shrinks_while_it_is_read_is_a_storage_error(self, objects: Objects) -> None:
        objects.create("key", b"12345")
        with pytest.raises(StorageError) as caught:
            objects.read_range("key", 3, 9)
        assert caught.value.code == "E_STORAGE_SHORT"

    def test_a_body_shorter_than_stated_is_read_again(self, objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
        objects.create("key", b"12345")
        real, bodies = objects._blob, [b"123", b"", b"12345"]
        monkeypatch.setattr(objects, "_blob", lambda key, meta, _, limit: real(key, meta, bodies.pop(0), limit))
        found = objects.read("key")
        assert found is not None
        assert found.data == b"12345"
        assert bodies == []

    def test_probes_and_leaves_nothing(self, objects: Objects) -> None:
        objects.check_writable()
        assert objects.list("").objects == ()

    @pytest.mark.parametrize("key", ["../outside", "a/../../outside"])
    def test_no_key_leads_out(self, objects: Objects, key: str) -> None:
        with pytest.raises(NameUnsafeError):
            objects.create(key, b"")

    def test_tries_a_passing_fault_again(self, memory: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
        memory.create("key", b"12345")
        faults = iter([GenericError("reset"), GenericError("reset")])
        real = memory._read

        def flaky(key: str, limit: int | None) -> object:
            with store_errors("read"):
                for fault in faults:
                    raise fault
            return real(key, limit)

        monkeypatch.setattr(memory, "_read", flaky)
        found = memory.read("key")
        assert found is not None
        assert found.data == b"12345"


class TestMissing:
    """What counts as missing: what is not there when one looks again, in a store that is there."""

    def test_a_store_that_holds_something_lacks_the_rest(self, objects: Objects) -> None:
        objects.create("key", b"")
        assert objects.surely(lambda: objects.read("no")) is None
        assert not objects.surely(lambda: objects.list("no"))

    def test_a_store_that_holds_nothing_is_away(self, objects: Objects) -> None:
        with pytest.raises(StorageError) as caught:
            objects.surely(lambda: objects.read("no"))
        assert (caught.value.code, caught.value.charged) == ("E_STORAGE_EMPTY", False)

    def test_what_is_there_again_was_not_missing(self, objects: Objects) -> None:
        objects.create("key", b"data")
        answers = iter([None, objects.read("key")])
        found = objects.surely(lambda: next(answers))
        assert found
        assert found.data == b"data"

    def test_what_is_found_at_once_is_looked_for_once(self, objects: Objects) -> None:
        answers = iter(["found"])
        assert objects.surely(lambda: next(answers)) == "found"


class TestFolders:
    def test_lists_what_obstore_would_choke_on(self, folder: FolderObjects, tmp_path: Path) -> None:
        root = tmp_path / "store" / "v"
        root.mkdir()
        (root / "a\nb.jpg").touch()
        (root / "b.jpg").touch()
        (root / "b.jpg#1").touch()
        (root / "sub").mkdir()
        (root / "link.jpg").symlink_to("b.jpg")
        listing = folder.list("v")
        assert [entry.name for entry in listing.objects] == ["a\nb.jpg", "b.jpg", "link.jpg"]
        assert listing.folders == ("sub",)
        (root / "out.jpg").symlink_to(tmp_path)
        assert not folder.is_link("v/link.jpg")
        assert folder.is_link("v/out.jpg")
        assert not folder.is_link("v/b.jpg")

    def test_walks_into_no_link(self, folder: FolderObjects, tmp_path: Path) -> None:
        folder.create("a/b/x", b"")
        root = tmp_path / "store"
        (root / "a" / "b" / "loop").symlink_to(root / "a", target_is_directory=True)
        assert [entry.key for entry in folder.walk("a")] == ["a/b/x"]

    def test_versions_are_those_of_s3(self, folder: FolderObjects) -> None:
        folder.create("key", b"hello")
        assert folder.version_at("key") == '"5d41402abc4b2a76b9719d911017c592"'

    def test_a_root_that_went_away_is_not_a_missing_file(self, folder: FolderObjects, tmp_path: Path) -> None:
        (tmp_path / "store").rmdir()
        for action in (lambda: folder.read("key"), lambda: folder.list("v"), lambda: folder.head("key")):
            with pytest.raises(StorageError) as caught:
                action()
            assert caught.value.code == "E_STORAGE_MISSING"

    def test_a_root_in_whose_place_another_one_is_lacks_nothing_and_takes_nothing(
        self, folder: FolderObjects, tmp_path: Path
    ) -> None:
        folder.create("key", b"1")
        etag = folder.version_at("key") or ""
        (tmp_path / "store").rename(tmp_path / "away")
        (tmp_path / "store").mkdir()
        for action in (
            lambda: folder.read("no"),
            lambda: folder.list(""),
            lambda: folder.list("v"),
            lambda: folder.head("no"),
            lambda: folder.create("new", b"2"),
            lambda: folder.replace("key", b"2", etag),
            lambda: folder.delete(["key"]),
            folder.check_there,
        ):
            with pytest.raises(StorageError) as caught:
                action()
            assert caught.value.code == "E_STORAGE_MISSING"
        assert list((tmp_path / "store").iterdir()) == []
        (tmp_path / "store").rmdir()
        (tmp_path / "away").rename(tmp_path / "store")
        assert folder.create("new", b"2")

    def test_what_was_written_while_the_root_changed_is_not_believed(
        self, folder: FolderObjects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def unmount(_key: str) -> None:
            (tmp_path / "store").rename(tmp_path / "away")
            (tmp_path / "store").mkdir()

        monkeypatch.setattr(folder, "_keep", unmount)
        with pytest.raises(StorageError) as caught:
            folder.create("key", b"1")
        assert caught.value.code == "E_STORAGE_MISSING"

    def test_a_root_that_holds_what_it_held_is_the_same_mounted_anew(self, tmp_path: Path) -> None:
        for name in ("store", "copy"):
            (tmp_path / name / "W1").mkdir(parents=True)
        folder = FolderObjects(tmp_path / "store", AT_ONCE)
        (tmp_path / "store").rename(tmp_path / "away")
        (tmp_path / "copy").rename(tmp_path / "store")
        folder.check_there()
        assert folder.create("key", b"1")

    def test_a_root_that_may_not_be_listed_can_be_opened(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def scandir(_path: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(os, "scandir", scandir)
        folder = FolderObjects(tmp_path, AT_ONCE)
        assert folder.create("key", b"1")

    def test_a_stale_handle_is_no_link_and_no_bug(self, folder: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
        def lstat(_path: Path) -> os.stat_result:
            raise OSError(errno.ESTALE, "Stale file handle")

        monkeypatch.setattr(Path, "lstat", lstat)
        with pytest.raises(StorageError, match="Stale file handle"):
            folder.is_link("key")

    def test_a_missing_root_is_reported(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError) as caught:
            Stores().open((tmp_path / "no").as_uri())
        assert caught.value.code == "E_STORAGE_MISSING"

    def test_a_file_where_a_folder_should_be_is_reported(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for place in (tmp_path / "file", tmp_path / "file" / "out"):
            with pytest.raises(StorageError, match="open the folder") as caught:
                Stores().open(place.as_uri(), create=True)
            assert caught.value.code == "E_STORAGE_NO_FOLDER"

    def test_a_write_without_room_is_disk_full(self, folder: FolderObjects) -> None:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with pytest.raises(DiskFullError) as caught:
                folder.create("key", b"x" * 5000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, handler)
        assert caught.value.code == "E_DISK_FULL"
        assert folder.list("").objects == ()


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (OSError(28, "No space left on device"), DiskFullError, "E_DISK_FULL"),
        (
            GenericError("Unable to copy data to file: No space left on device (os error 28)"),
            DiskFullError,
            "E_DISK_FULL",
        ),
        (PermissionError(13, "Permission denied"), StorageError, "E_STORAGE_DENIED"),
        (GenericError("Unable to create dir: Read-only file system (os error 30)"), StorageError, "E_STORAGE_DENIED"),
        (GenericError("error sending request\n\nDebug source: ..."), StorageError, "E_STORAGE"),
        (OSError("short read"), StorageError, "E_STORAGE"),
        (ValueError("Could not parse path"), NameUnsafeError, "E_NAME_UNSAFE"),
    ],
)
def test_errors_are_distinguished_by_class_and_number(error: Exception, kind: type[BecError], code: str) -> None:
    with pytest.raises(kind) as caught, store_errors("read 'key' in file:///x"):
        raise error
    assert caught.value.code == code
    assert "Debug source" not in caught.value.message
    assert caught.value.__cause__ is error


class TestS3:
    def test_reads_with_prefix_and_multipart_etag(self, s3: StubS3) -> None:
        s3.answers["/bucket/pre%20fix/a%23b.jpg"] = [(200, b"ok")]
        found = bucket(s3).read("a#b.jpg")
        assert found is not None
        assert (found.data, found.etag) == (b"ok", ETAG)
        assert bucket(s3).version_at("a#b.jpg") == ETAG

    def test_a_cut_body_is_read_again(self, s3: StubS3) -> None:
        s3.answers["/bucket/key"] = [(200, b"whole")]
        s3.cut.add("/bucket/key")
        found = bucket(s3, "s3://bucket").read("key")
        assert found is not None
        assert found.data == b"whole"
        assert s3.requests.count(("GET", "/bucket/key")) > 1

    def test_a_missing_key_is_none_and_a_missing_bucket_is_an_error(self, s3: StubS3) -> None:
        assert bucket(s3).read("no") is None
        s3.answers["/bucket/key"] = [(404, b"<Error><Code>NoSuchBucket</Code></Error>")]
        with pytest.raises(StorageError) as caught:
            bucket(s3, "s3://bucket").read("key")
        assert caught.value.code == "E_STORAGE_MISSING"

    @pytest.mark.parametrize(("status", "code"), [(401, "E_STORAGE_CREDENTIALS"), (403, "E_STORAGE_DENIED")])
    def test_denied_is_retryable_for_the_task_but_not_tried_again_at_once(
        self, s3: StubS3, status: int, code: str
    ) -> None:
        s3.answers["/bucket/key"] = [(status, b"<Error><Code>AccessDenied</Code></Error>")]
        with pytest.raises(StorageError) as caught:
            bucket(s3, "s3://bucket").read("key")
        assert caught.value.code == code
        assert ("the permission s3:GetObject is missing" in caught.value.message) == (status == 403)
        assert caught.value.retryable
        assert len(s3.requests) == 1

    def test_a_refused_precondition_is_an_answer(self, s3: StubS3) -> None:
        s3.answers["/bucket/key"] = [(412, b"")]
        assert bucket(s3, "s3://bucket").create("key", b"x") is False
        assert bucket(s3, "s3://bucket").replace("key", b"x", ETAG) is False


class TestStores:
    def test_opens_each_url_once(self, tmp_path: Path) -> None:
        stores = Stores()
        assert stores.open(tmp_path.as_uri()) is stores.open(tmp_path.as_uri())
        assert stores.open("memory://a") is not stores.open("memory://b")

    def test_takes_names_of_all_kinds(self, tmp_path: Path) -> None:
        odd = tmp_path / "a b#?%20é"
        objects = Stores().open(odd.as_uri(), create=True)
        objects.create("key", b"")
        assert (odd / "key").exists()

    @pytest.mark.parametrize(
        "url", ["ftp://x/y", "s3://", "/plain/path", "file://host/x", "file:relative", "", "file://[x"]
    )
    def test_refuses_other_urls(self, url: str) -> None:
        with pytest.raises(ConfigError) as caught:
            Stores().open(url)
        assert caught.value.code == "E_STORAGE_URL"

    def test_returns_the_path_of_a_url(self) -> None:
        assert path_of("file:///a%20b/c") == Path("/a b/c")
        assert path_of("file://localhost/c") == Path("/c")
