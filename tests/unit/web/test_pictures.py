"""Pictures of pages: each file fetched once, each decoded once, few at a time; what cannot be made is told."""

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import pytest

from bec_orch.core.volumes import Manifest, Page, VolumeRef, version_of
from bec_orch.errors import PageError
from bec_orch.web.pictures.pictures import PagePictures
from bec_orch.web.pictures.requests import Crop
from tests.unit.fakes import MemoryPages

cv2 = pytest.importorskip("cv2")
np = pytest.importorskip("numpy")

VOLUME = VolumeRef("W1", "I1", "folder+memory:///")
WHOLE = Crop(0, 0, 64, 48, 64, 48)


def jpeg(grey: int) -> bytes:
    return bytes(cv2.imencode(".jpg", np.full((48, 64), grey, np.uint8))[1].tobytes())


class Source:
    """A source of one volume in memory (an `ImageSource`)."""

    name = VOLUME.source

    def __init__(self, files: dict[str, bytes | Exception], page_etag: str | None = None) -> None:
        self.reader = MemoryPages(files)
        self.manifests = 0
        self.page_etag = page_etag

    def read_manifest(self, volume: VolumeRef, *, nb_images_intro: int = 0) -> Manifest:
        self.manifests += 1
        return Manifest(
            volume, "etag", tuple(Page(index, name, self.page_etag) for index, name in enumerate(self.reader.files))
        )

    def manifest_etag(self, volume: VolumeRef) -> str | None:
        return "etag"

    def missing(self, volume: VolumeRef) -> str:
        raise AssertionError(volume)

    def filenames(self, volume: VolumeRef) -> frozenset[str]:
        return frozenset(self.reader.files)

    def pages(self, manifest: Manifest) -> MemoryPages:
        return self.reader

    def spelled(self, volume: VolumeRef) -> VolumeRef:
        return volume

    def check_readable(self) -> None:
        return

    def check_there(self) -> None:
        return

    def volumes(self) -> Iterable[VolumeRef]:
        return [VOLUME]


def over(source: Source, most_bytes: int = 2**20, decoders: int = 2) -> PagePictures:
    return PagePictures(lambda _name: source, decoders=decoders, most_bytes=most_bytes, max_pixels=10**6)


def grey_of(picture: bytes) -> int:
    return round(float(cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE).mean()))


def test_a_file_is_fetched_once_for_all_its_parts() -> None:
    source = Source({"a.jpg": jpeg(100), "b.jpg": jpeg(200)})
    pictures = over(source)
    for x in (0, 8, 16):
        assert grey_of(pictures.jpeg(VOLUME, "a.jpg", Crop(x, 0, 16, 16, 8, 8))) in range(98, 103)
    assert grey_of(pictures.jpeg(VOLUME, "b.jpg", WHOLE)) in range(198, 203)
    assert (source.reader.read_names, source.manifests) == (["a.jpg", "b.jpg"], 1)


def test_what_does_not_fit_is_made_anew() -> None:
    source = Source({"a.jpg": jpeg(100)})
    pictures = over(source, most_bytes=16)
    for _ in range(2):
        assert grey_of(pictures.jpeg(VOLUME, "a.jpg", WHOLE)) in range(98, 103)
    assert len(source.reader.read_names) > 2


def test_few_pages_are_decoded_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source({f"{number}.jpg": jpeg(number * 20) for number in range(8)})
    at_once, most, lock = 0, 0, threading.Lock()

    def slow(_data: bytes, _header: object, *, reduce: int) -> object:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.05)
        with lock:
            at_once -= 1
        return np.zeros((48 // reduce, 64 // reduce), np.uint8)

    monkeypatch.setattr("bec_orch.web.pictures.pictures.decode", slow)
    pictures = over(source)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: pictures.jpeg(VOLUME, name, WHOLE), source.reader.files))
    assert most == 2


def test_many_who_ask_for_one_page_have_it_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []

    def counting(_data: bytes, _header: object, *, reduce: int) -> object:
        decoded.append(reduce)
        return np.zeros((48 // reduce, 64 // reduce), np.uint8)

    monkeypatch.setattr("bec_orch.web.pictures.pictures.decode", counting)
    pictures = over(Source({"a.jpg": jpeg(1)}))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda x: pictures.jpeg(VOLUME, "a.jpg", Crop(x, 0, 8, 8, 8, 8)), range(0, 64, 8)))
    assert decoded == [1]


@pytest.mark.parametrize(
    ("crop", "reduce"),
    [
        (Crop(0, 0, 64, 48, 64, 48), 1),
        (Crop(0, 0, 64, 48, 33, 25), 1),
        (Crop(0, 0, 64, 48, 32, 24), 2),
        (Crop(0, 0, 64, 48, 8, 6), 8),
        (Crop(0, 0, 64, 48, 4, 3), 8),
        (Crop(4, 0, 32, 32, 4, 4), 4),
        (Crop(3, 0, 32, 32, 4, 4), 1),
    ],
)
def test_a_page_is_shrunk_while_it_is_decoded(monkeypatch: pytest.MonkeyPatch, crop: Crop, reduce: int) -> None:
    shrunk: list[int] = []

    def noting(_data: bytes, _header: object, *, reduce: int) -> object:
        shrunk.append(reduce)
        return np.zeros((48 // reduce, 64 // reduce), np.uint8)

    monkeypatch.setattr("bec_orch.web.pictures.pictures.decode", noting)
    over(Source({"a.jpg": jpeg(1)})).jpeg(VOLUME, "a.jpg", crop)
    assert shrunk == [reduce]


@pytest.mark.parametrize(
    ("file", "code"), [("c.jpg", "E_IMAGE_MISSING"), ("a.jpg", "E_IMAGE_TRUNCATED"), ("b.jpg", "E_IMAGE_NOT_IMAGE")]
)
def test_what_cannot_be_made_is_reported(file: str, code: str) -> None:
    pictures = over(Source({"a.jpg": jpeg(9)[:-40], "b.jpg": b"no image"}))
    asked: list[Callable[[], object]] = [
        lambda: pictures.jpeg(VOLUME, file, WHOLE),
        lambda: pictures.header(VOLUME, file),
    ]
    for ask in asked:
        with pytest.raises(PageError) as caught:
            ask()
        assert caught.value.code == code
    assert pictures.size(VOLUME, file) is None


def test_pictures_of_another_version_are_refused() -> None:
    pictures = over(Source({"a.jpg": jpeg(9)}))
    pictures.require(VOLUME, version_of("etag"))
    with pytest.raises(PageError) as caught:
        pictures.require(VOLUME, "abcdef")
    assert caught.value.code == "E_IMAGE_OTHER_VERSION"


@pytest.mark.parametrize(
    ("listed", "code"), [("etag-a.jpg", None), ('"etag-a.jpg"', None), ("x", "E_IMAGE_OTHER_VERSION")]
)
def test_a_file_that_was_replaced_since_it_was_listed_is_not_shown(listed: str, code: str | None) -> None:
    pictures = over(Source({"a.jpg": jpeg(9)}, listed))
    if code is None:
        assert pictures.jpeg(VOLUME, "a.jpg", WHOLE)
        return
    with pytest.raises(PageError) as caught:
        pictures.jpeg(VOLUME, "a.jpg", WHOLE)
    assert caught.value.code == code
