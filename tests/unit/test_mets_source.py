"""The layout `mets`: workspaces of OCR-D, whole, odd and hostile."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest

from bec_orch.core.names import printable
from bec_orch.core.ports.job_worker import PageBytes
from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import ManifestError, ManifestMissing, PageError, RetryableError, StorageError, UsageError
from bec_orch.io.servers import addresses
from bec_orch.io.servers.addresses import Reach
from bec_orch.io.servers.fetching import Fetcher, Patience
from bec_orch.io.sources import mets, mets_documents
from bec_orch.io.sources.detect import Outside, detect_source
from bec_orch.io.sources.mets_documents import MetsPage, read_mets
from bec_orch.io.sources.sources import Sources
from bec_orch.io.stores.storage import Stores
from tests.support.servers.library import Answer, Library, library
from tests.support.workspaces import document, group, pages, workspace

QUICK = Patience(attempts=2, first=0.001, connect=5.0, silence=5.0, whole=10.0)


def read(text: str, name: str | None = None) -> list[MetsPage]:
    return list(read_mets(text.encode(), "The METS of W1/I1", name).pages)


def code(text: str, name: str | None = None) -> str:
    with pytest.raises(ManifestError) as caught:
        read(text, name)
    assert caught.value.message.startswith("The METS of W1/I1 ")
    assert caught.value.hint
    return caught.value.code


class TestDocument:
    def test_pages_have_the_pictures_of_the_scans(self) -> None:
        scans = group("OCR-D-IMG", {"a": "OCR-D-IMG/1.tif", "b": "./OCR-D-IMG/2.tif"})
        made = group("OCR-D-BIN", {"c": "OCR-D-BIN/1.png", "d": "OCR-D-BIN/2.png"})
        text = document(made + scans, pages(["c", "a"], ["b", "d"]))
        assert read(text) == [
            MetsPage("1.tif", path="OCR-D-IMG/1.tif"),
            MetsPage("2.tif", path="OCR-D-IMG/2.tif"),
        ]
        assert [page.path for page in read(text, "OCR-D-BIN")] == ["OCR-D-BIN/1.png", "OCR-D-BIN/2.png"]

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (b"", "has 0 bytes."),
            (b"\xff\xd8\xff\xe0", "is no METS: it begins like a picture (JPEG)."),
            (b"{}", "is no METS: it begins with the bytes 7b 7d."),
            (b" <mets", "is refused: it cannot be read as XML ("),
            ("\ufeff<mets".encode("utf-16"), "is refused: it cannot be read as XML ("),
            (b"<html/>", "is no METS, but 'html'."),
        ],
    )
    def test_what_is_no_mets_says_what_it_is(self, data: bytes, told: str) -> None:
        with pytest.raises(ManifestError) as caught:
            read_mets(data, "The METS of W1/I1", None)
        assert (caught.value.code, told in caught.value.message) == ("E_METS", True), caught.value.message

    def test_pictures_that_share_a_name_are_called_by_their_ids(self) -> None:
        files = {
            "A": "a/1.tif",
            "B.tif": "b/1.tif",
            "C": "2.tif",
            "D": "http://x.org/3/default.jpg",
            "E": "4/default.jpg",
        }
        text = document(group("OCR-D-IMG", files), pages(*[[each] for each in files], ["gone"]))
        named = [(each.filename, each.path or each.url) for each in read(text)]
        assert named == [
            ("A.tif", "a/1.tif"),
            ("B.tif", "b/1.tif"),
            ("2.tif", "2.tif"),
            ("D.jpg", "http://x.org/3/default.jpg"),
            ("E.jpg", "4/default.jpg"),
            ("0006", ""),
        ]

    def test_the_order_of_pages_is_the_one_that_they_state(self) -> None:
        files = group("OCR-D-IMG", {name: f"{name}.tif" for name in "abc"})
        assert [page.filename for page in read(document(files, pages(["b"], ["a"], ["c"])))] == [
            "b.tif",
            "a.tif",
            "c.tif",
        ]
        ordered = pages(["b"], ["a"], ["c"], orders=["10", "9", "011"])
        assert [page.filename for page in read(document(files, ordered))] == ["a.tif", "b.tif", "c.tif"]
        odd = pages(["b"], ["a"], ["c"], orders=["2", "", "1"])
        assert [page.filename for page in read(document(files, odd))] == ["b.tif", "a.tif", "c.tif"]

    def test_without_a_physical_structure_the_files_are_the_pages(self) -> None:
        files = group("OCR-D-IMG", {"a": "1.tif", "b": "2.tif"})
        assert [page.filename for page in read(document(files, ""))] == ["1.tif", "2.tif"]

    def test_a_page_without_a_picture_is_a_page(self) -> None:
        files = group("OCR-D-IMG", {"a": "1.tif"})
        found = read_mets(document(files, pages(["a"], ["x"], [])).encode(), "M", None)
        assert list(found.pages) == [MetsPage("1.tif", path="1.tif"), MetsPage("0002"), MetsPage("0003")]

    def test_files_that_are_of_no_page_are_counted(self) -> None:
        files = group("OCR-D-IMG", {"a": "1.tif", "b": "2.tif", "c": "3.tif"})
        assert read_mets(document(files, pages(["a", "b"])).encode(), "M", None).others == 2

    def test_without_scans_the_first_group_with_pictures_is_taken(self) -> None:
        text = group("FULLTEXT", {"t": "t.xml"}, kind="text/xml") + group("MAX", {"a": "1.jpg"})
        assert [page.filename for page in read(document(text, pages(["t", "a"])))] == ["1.jpg"]
        unsaid = group("FULLTEXT", {"t": "t.xml"}, kind="") + group("MAX", {"a": "1.jpg"}, kind="")
        assert [page.filename for page in read(document(unsaid, pages(["t", "a"])))] == ["1.jpg"]

    def test_a_group_that_is_not_there_is_reported_with_those_that_are(self) -> None:
        text = document(group("MAX", {"a": "1.jpg"}), pages(["a"]))
        with pytest.raises(ManifestError) as caught:
            read(text, "MIN")
        assert caught.value.code == "E_METS_GROUP"
        assert "'MAX'" in caught.value.hint
        assert code(document(group("T", {"a": "1.xml"}, kind="text/xml"), "")) == "E_METS_GROUP"
        assert code(document("", "")) == "E_METS_GROUP"
        assert code(document(group("OCR-D-IMG", {}), "")) == "E_METS_GROUP"

    def test_pictures_may_lie_on_the_web_and_a_copy_goes_before(self) -> None:
        files = group("OCR-D-IMG", {"a": "https://lib.example/x/1%201.jpg", "b": ("http://lib.example/2.jpg", "b.jpg")})
        assert read(document(files, pages(["a"], ["b"]))) == [
            MetsPage("1 1.jpg", url="https://lib.example/x/1%201.jpg"),
            MetsPage("b.jpg", path="b.jpg"),
        ]


class TestHostile:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "no xml",
            "<mets",
            "<html/>",
            '<!DOCTYPE m [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><mets>&b;</mets>',
            '<!DOCTYPE m [<!ENTITY a SYSTEM "file:///etc/passwd">]><mets>&a;</mets>',
        ],
        ids=["empty", "text", "cut", "html", "bomb", "file"],
    )
    def test_what_is_no_mets_is_reported(self, text: str) -> None:
        assert code(text) == "E_METS"

    @pytest.mark.parametrize(
        "href",
        ["../secret.tif", "a/../../secret.tif", "/etc/passwd", "file:///etc/passwd", "C:\\x.tif", "c:/x.tif",
         "a//b.tif", "a/", ".", "a\tb.tif", "ftp://x/y.tif", "http://user:secret@x/y.tif", "http://",
         "a\\..\\b.tif", "http://[x/a", "http://x]/a", "HTTPS://\u2100.com/a", f"{'a' * 300}.tif"],
    )  # fmt: skip
    def test_a_reference_out_of_the_workspace_is_refused(self, href: str) -> None:
        files = group("OCR-D-IMG", {"a": href, "b": "b.tif"})
        bad, good = read(document(files, pages(["a"], ["b"])))
        assert (bad.filename, bad.path, bad.url, good) == ("0001", "", "", MetsPage("b.tif", path="b.tif"))
        assert bad.fault.startswith(f"names {printable(href, limit=200)} as its picture: ")

    @pytest.mark.parametrize(
        ("href", "why"),
        [
            ("file:///etc/passwd", "this names a drive, or an address of another kind than http and https"),
            ("./c:x.tif", "this names a drive, or an address of another kind than http and https"),
            ("../x.jpg", "this leads out of the workspace"),
            ("/x.jpg", "this leads out of the workspace"),
            ("a//x.jpg", "a part of this path is empty"),
        ],
    )
    def test_it_is_told_what_is_wrong_with_a_reference(self, href: str, why: str) -> None:
        (bad,) = read(document(group("OCR-D-IMG", {"a": href}), ""))
        assert bad.fault == f"names '{href}' as its picture: {why}"

    def test_a_file_without_a_reference_is_a_page_without_a_picture(self) -> None:
        assert read(document(group("OCR-D-IMG", {"a": ""}), pages(["a"]))) == [MetsPage("0001")]

    def test_a_sentence_tells_that_it_is_no_xml(self) -> None:
        for text, why in (
            ("<mets", "it cannot be read as XML (unclosed token: line 1, column 0)"),
            ('<!DOCTYPE m [<!ENTITY a "x">]><mets>&a;</mets>', "it cannot be read as XML, because it defines entities"),
        ):
            with pytest.raises(ManifestError) as caught:
                read(text)
            assert caught.value.message.startswith(f"The METS of W1/I1 is refused: {why}")

    def test_too_many_pages_are_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mets_documents, "MAX_PAGES", 2)
        files = group("OCR-D-IMG", {name: f"{name}.tif" for name in "abc"})
        assert code(document(files, pages(["a"], ["b"], ["c"]))) == "E_METS"

    def test_deep_trees_are_read(self) -> None:
        files = group("OCR-D-IMG", {"a": "1.tif"})
        deep = "<div>" * 5000 + "</div>" * 5000
        assert len(read(document(files, pages(["a"]) + f'<structMap TYPE="PHYSICAL">{deep}</structMap>'))) == 1


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., ImageSource]:
    def opened(options: str = "", *, follow_links: bool = False) -> ImageSource:
        stores = Stores(follow_links=follow_links)
        return Sources(stores, fetcher=Fetcher(QUICK))(f"mets+{(tmp_path / 'data').as_uri()}{options}")

    return opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workspace of two pages, with a step of work on each."""
    return workspace(
        tmp_path / "data" / "W1" / "I1", {"1.tif": b"one", "2.tif": b"two"}, {"1.png": b"1", "2.png": b"2"}
    )


def ref(source: ImageSource) -> VolumeRef:
    return VolumeRef("W1", "I1", source.name)


def page(source: ImageSource, index: int) -> PageBytes:
    manifest = source.read_manifest(ref(source))
    return anyio.run(source.pages(manifest).read, manifest.pages[index])


class TestSource:
    def test_a_workspace_is_a_volume(self, folder: Path, opened: Callable[..., ImageSource]) -> None:
        source = opened()
        assert [str(each) for each in source.volumes()] == ["W1/I1"]
        manifest = source.read_manifest(ref(source), nb_images_intro=1)
        assert [(each.filename, each.skip_reason) for each in manifest.pages] == [("1.tif", "intro"), ("2.tif", None)]
        assert source.manifest_etag(ref(source)) == manifest.etag
        assert source.filenames(ref(source)) == {"1.tif", "2.tif"}
        assert [page(source, at).data for at in range(2)] == [b"one", b"two"]
        assert page(source, 0).etag == manifest.pages[0].etag

    def test_another_group_is_named_with_the_source(self, folder: Path, opened: Callable[..., ImageSource]) -> None:
        assert page(opened("#group=OCR-D-BIN"), 1).data == b"2"
        with pytest.raises(ManifestError) as caught:
            page(opened("#group=NONE"), 0)
        assert caught.value.code == "E_METS_GROUP"

    def test_the_version_follows_the_pictures_and_not_the_steps_of_work(
        self, folder: Path, opened: Callable[..., ImageSource]
    ) -> None:
        source = opened()
        etag = source.manifest_etag(ref(source))
        text = (folder / "mets.xml").read_text()
        (folder / "mets.xml").write_text(text.replace("</fileSec>", group("OCR-D-OCR", {"z": "z.xml"}) + "</fileSec>"))
        assert source.manifest_etag(ref(source)) == etag
        os.utime(folder / "OCR-D-IMG" / "1.tif", (1, 1))
        assert source.manifest_etag(ref(source)) != etag

    def test_one_that_is_not_there_is_missing_and_a_tree_that_went_away_is_not(
        self, folder: Path, tmp_path: Path, opened: Callable[..., ImageSource]
    ) -> None:
        source = opened()
        (folder / "mets.xml").unlink()
        assert source.manifest_etag(ref(source)) is None
        with pytest.raises(ManifestMissing):
            source.read_manifest(ref(source))
        (tmp_path / "data").rename(tmp_path / "gone")
        with pytest.raises(StorageError):
            source.read_manifest(ref(source))

    def test_a_picture_that_is_not_there_is_its_pages_error(
        self, folder: Path, opened: Callable[..., ImageSource]
    ) -> None:
        (folder / "OCR-D-IMG" / "1.tif").unlink()
        source = opened()
        with pytest.raises(PageError) as caught:
            page(source, 0)
        assert caught.value.code == "E_PAGE_MISSING"
        assert source.filenames(ref(source)) == {"2.tif"}
        assert page(source, 1).data == b"two"

    def test_a_page_without_a_picture_in_the_group_is_an_error(
        self, folder: Path, opened: Callable[..., ImageSource]
    ) -> None:
        text = (folder / "mets.xml").read_text()
        (folder / "mets.xml").write_text(text.replace('<fptr FILEID="IMG_2.tif"/>', ""))
        with pytest.raises(PageError) as caught:
            page(opened(), 1)
        assert caught.value.code == "E_METS_NO_IMAGE"

    def test_a_page_whose_reference_leads_out_is_an_error_and_the_others_are_done(
        self, folder: Path, opened: Callable[..., ImageSource]
    ) -> None:
        text = (folder / "mets.xml").read_text()
        (folder / "mets.xml").write_text(text.replace('"OCR-D-IMG/1.tif"', '"file:///etc/passwd"'))
        source = opened()
        with pytest.raises(PageError) as caught:
            page(source, 0)
        assert (caught.value.stage, caught.value.code) == ("fetch", "E_METS_HREF")
        assert "The page '0001' of W1/I1 names 'file:///etc/passwd' as its picture" in caught.value.message
        assert page(source, 1).data == b"two"
        assert source.filenames(ref(source)) == {"2.tif"}

    def test_a_workspace_that_changed_gives_no_page_of_the_older_version(
        self, folder: Path, opened: Callable[..., ImageSource]
    ) -> None:
        source = opened()
        before = source.read_manifest(ref(source))
        os.utime(folder / "OCR-D-IMG" / "2.tif", (1, 1))
        with pytest.raises(RetryableError) as caught:
            anyio.run(source.pages(before).read, before.pages[0])
        assert caught.value.code == "E_SOURCE_CHANGED"

    @pytest.mark.parametrize("linked", ["", "OCR-D-IMG", "OCR-D-IMG/1.tif", "mets.xml"])
    def test_links_out_of_the_source_are_followed_only_where_that_is_asked_for(
        self, folder: Path, tmp_path: Path, opened: Callable[..., ImageSource], linked: str
    ) -> None:
        (folder / linked).rename(tmp_path / "elsewhere")
        (folder / linked).symlink_to(tmp_path / "elsewhere")
        with pytest.raises((ManifestError, PageError)) as caught:
            page(opened(), 0)
        assert caught.value.code == ("E_PAGE_LINK" if linked.endswith(".tif") else "E_VOLUME_LINK")
        assert page(opened(follow_links=True), 0).data == b"one"

    def test_pictures_of_one_name_in_several_folders_are_pages_of_their_own(
        self, folder: Path, opened: Callable[..., ImageSource]
    ) -> None:
        text = (folder / "mets.xml").read_text()
        (folder / "mets.xml").write_text(text.replace("OCR-D-IMG/2.tif", "other/1.tif"))
        (folder / "other").mkdir()
        (folder / "other" / "1.tif").write_bytes(b"the other one")
        source = opened()
        assert [each.filename for each in source.read_manifest(ref(source)).pages][:2] == ["IMG_1.tif", "IMG_2.tif"]
        read = [page(source, at).data for at in range(2)]
        assert read == [(folder / "OCR-D-IMG" / "1.tif").read_bytes(), b"the other one"]
        assert {"IMG_1.tif", "IMG_2.tif"} <= source.filenames(ref(source))

    def test_a_picture_that_is_of_two_pages_is_reported(self, folder: Path, opened: Callable[..., ImageSource]) -> None:
        text = (folder / "mets.xml").read_text()
        (folder / "mets.xml").write_text(text.replace('FILEID="IMG_2.tif"', 'FILEID="IMG_1.tif"'))
        source = opened()
        with pytest.raises(ManifestError) as caught:
            source.read_manifest(ref(source))
        assert caught.value.code == "E_NAME_DUPLICATE"
        assert "METS" in caught.value.hint

    def test_a_mets_that_is_too_large_or_spread_out_is_refused(
        self, folder: Path, opened: Callable[..., ImageSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(mets, "MAX_FOLDERS", 0)
        with pytest.raises(ManifestError) as caught:
            page(opened(), 0)
        assert caught.value.code == "E_METS"
        monkeypatch.setattr(mets, "MAX_BYTES", 10)
        with pytest.raises(ManifestError) as caught:
            page(opened(), 0)
        assert caught.value.code == "E_MANIFEST_TOO_LARGE"


class TestWeb:
    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
        """A public server; only 127.0.0.2 is this machine."""
        within = addresses.reach_of
        monkeypatch.setattr(
            addresses, "reach_of", lambda each: Reach.PUBLIC if str(each) == "127.0.0.1" else within(each)
        )
        with library() as server:
            yield server

    def put(self, tmp_path: Path, *urls: str) -> None:
        files = group("OCR-D-IMG", {f"f{at}": url for at, url in enumerate(urls)})
        path = tmp_path / "data" / "W1" / "I1" / "mets.xml"
        path.parent.mkdir(parents=True)
        path.write_text(document(files, pages(*([f"f{at}"] for at in range(len(urls))))))

    def test_pictures_on_a_server_are_fetched(
        self, server: Library, tmp_path: Path, opened: Callable[..., ImageSource]
    ) -> None:
        self.put(tmp_path, f"{server.url}/1.jpg", f"{server.url}/2.jpg")
        server.things["/1.jpg"] = b"one"
        server.things["/2.jpg"] = [Answer(status=404), Answer(status=404), Answer(b"back")]
        source = opened()
        assert page(source, 0).data == b"one"
        assert source.filenames(ref(source)) == {"1.jpg", "2.jpg"}
        with pytest.raises(PageError) as caught:
            page(source, 1)
        assert caught.value.code == "E_PAGE_MISSING"
        assert f"'{server.url}/2.jpg'" in caught.value.message
        assert [source.filenames(ref(source)) for _ in range(2)] == [{"1.jpg"}, {"1.jpg", "2.jpg"}]

    def test_nothing_is_asked_of_this_machine(
        self, server: Library, tmp_path: Path, opened: Callable[..., ImageSource]
    ) -> None:
        with library("127.0.0.2") as inside:
            self.put(tmp_path, f"{inside.url}/1.jpg", "http://169.254.169.254/2.jpg")
            inside.things["/1.jpg"] = b"secret"
            for at in range(2):
                with pytest.raises(PageError) as caught:
                    page(opened(), at)
                assert caught.value.code == "E_ADDRESS_REFUSED"
            assert inside.asked == []


class TestDetect:
    def test_a_file_a_folder_a_work_and_a_tree(self, folder: Path, tmp_path: Path) -> None:
        workspace(tmp_path / "data" / "W1" / "I2", {"1.tif": b"x"})
        root = tmp_path / "data"
        one = [detect_source(path) for path in (folder / "mets.xml", folder)]
        assert [[str(each) for each in found.volumes] for found in one] == [["W1/I1"]] * 2
        many = [detect_source(path) for path in (root / "W1", root)]
        assert [[str(each) for each in found.volumes] for found in many] == [["W1/I1", "W1/I2"]] * 2
        assert {found.name for found in (*one, *many)} == {f"mets+{root.as_uri()}"}
        assert (one[1].images, many[1].images, many[1].outside, many[1].as_good) == (4, 5, (), "")

    def test_a_mets_beside_page_images_does_not_take_them_over(self, tmp_path: Path) -> None:
        root = workspace(tmp_path / "W1" / "I1", {"1.tif": b"x"})
        (root / "0001.jpg").write_bytes(b"x")
        found = detect_source(root)
        assert found.name.startswith("folder+")
        assert found.outside == (Outside("OCR-D-IMG", 1),)
        assert detect_source(root / "mets.xml").name.startswith("mets+")

    def test_names_that_cannot_be_used_are_reported(self, tmp_path: Path) -> None:
        root = workspace(tmp_path / "W\n1" / "I1", {"1.tif": b"x"})
        with pytest.raises(UsageError) as caught:
            detect_source(root / "mets.xml")
        assert caught.value.code == "E_PATH_NO_IMAGES"
