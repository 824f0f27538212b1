"""Job type `importv1`: which document is a page's, and what becomes of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bec_orch.core.job_types.registry import job_worker_class
from bec_orch.core.ports.job_worker import WorkerResources
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import ConfigError
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.importv1.config import Importv1Config
from bec_orch.jobs.importv1.worker import Importv1Worker
from tests.unit import image_bytes as made
from tests.unit.fakes import MemoryRows, context, resources

VOLUME = VolumeRef("W1", "I1", "folder+file:///scans")
CONFIG = {"format": "alto", "documents_url": "file:///documents"}
PICTURES = [Image.new("L", size) for size in ((64, 48), (32, 80), (50, 50))]
TIFF = made.tiff(PICTURES[0], save_all=True, append_images=PICTURES[1:])


def test_it_is_the_job_type_that_is_installed() -> None:
    assert job_worker_class("importv1") is Importv1Worker


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"format": "alto"},
        {**CONFIG, "format": "hocr"},
        {**CONFIG, "documents_url": ""},
        {**CONFIG, "documents_folder": "{volume}"},
        {**CONFIG, "documents_folder": "{w_id"},
        {**CONFIG, "documents_url": "s3://user:secret@bucket"},
        {**CONFIG, "speed": 1},
    ],
)
def test_wrong_configs_are_refused(config: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="config is wrong: "):
        Importv1Config.parse(config)


def test_the_documents_of_a_volume_are_a_reference_folder() -> None:
    (folder,) = Importv1Config.parse({**CONFIG, "documents_folder": "/{w_id}/{i_id}/alto/"}).reference_folders(VOLUME)
    assert folder.url == "file:///documents/W1/I1/alto"


def document(folder: Path, name: str, text: str, size: tuple[int, int] = (0, 0), image: str = "") -> None:
    """Write the document of a page with one line."""
    line = f'<TextLine HPOS="1" VPOS="1" WIDTH="5" HEIGHT="5"><String CONTENT="{text}"/></TextLine>'
    source = f"<Description><sourceImageInformation><fileName>{image}</fileName></sourceImageInformation></Description>"
    page = f'<Page WIDTH="{size[0]}" HEIGHT="{size[1]}"><TextBlock>{line}</TextBlock></Page>'
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"<alto>{source}<Layout>{page}</Layout></alto>")


def imported(
    root: Path, files: dict[str, bytes | Exception], told: tuple[int, int] | None = None, **config: Any
) -> list[list[Any]]:
    """The text of each picture of each file, or why there is none; the manifest may tell sizes."""
    given = WorkerResources(1, 2**28, resources().models, open_store=Stores().open)
    job = Importv1Worker.create({**CONFIG, "documents_url": root.as_uri(), **config}, given)
    rows = MemoryRows()
    volume = context(files, rows)
    if told:
        pages = tuple(replace(page, width=told[0], height=told[1]) for page in volume.manifest.pages)
        volume = replace(volume, manifest=replace(volume.manifest, pages=pages))
    job.run(volume)
    return [
        [one.row.get("page_text") or one.error_type or one.skip_reason for one in outcome.every]
        for _, outcome in sorted(rows.flushed.items())
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "W1" / "I1"


def test_pictures_that_share_a_file_have_a_document_each(folder: Path, tmp_path: Path) -> None:
    for name, text, size in (("a", "first", (64, 48)), ("a#2", "second", (32, 80)), ("b", "other", (64, 48))):
        document(folder, f"{name}.xml", text, size)
    files: dict[str, bytes | Exception] = {"a.tif": TIFF, "b.tif": TIFF}
    assert imported(tmp_path, files) == [["first", "second"], ["other"]]
    no_document = "document: no row"
    assert imported(tmp_path, files, frames="all") == [
        ["first", "second", no_document],
        ["other", no_document, no_document],
    ]


def test_the_size_that_a_manifest_tells_is_that_of_the_first_picture(folder: Path, tmp_path: Path) -> None:
    document(folder, "a.xml", "first", (64, 48))
    document(folder, "a#2.xml", "second", (32, 80))
    assert imported(tmp_path, {"a.tif": TIFF}, (64, 48)) == [["first", "second"]]


def test_pictures_before_one_with_a_document_are_skipped_where_they_have_none(folder: Path, tmp_path: Path) -> None:
    document(folder, "a#3.xml", "third")
    assert imported(tmp_path, {"a.tif": TIFF}) == [["document: no row", "document: no row", "third"]]


def test_a_document_of_a_picture_that_the_file_does_not_have_is_an_error(folder: Path, tmp_path: Path) -> None:
    for name in ("a", "a#2", "b#4"):
        document(folder, f"{name}.xml", name, (9, 9) if "#" in name else (64, 48))
    without = ["document: no row"] * 3
    files: dict[str, bytes | Exception] = {"a.png": made.png(PICTURES[0]), "b.tif": TIFF}
    assert imported(tmp_path, files) == [["a", "E_IMAGE_FRAME"], [*without, "E_IMAGE_FRAME"]]


def test_documents_of_pictures_of_a_broken_file_are_taken(folder: Path, tmp_path: Path) -> None:
    document(folder, "a.xml", "first", (64, 48))
    document(folder, "a#2.xml", "second", (32, 80))
    assert imported(tmp_path, {"a.tif": TIFF[:8]}) == [["first", "second"]]


def test_a_document_of_another_size_than_its_picture_is_an_error(folder: Path, tmp_path: Path) -> None:
    document(folder, "a#2.xml", "first, by a wrong name", (64, 48))
    assert imported(tmp_path, {"a.tif": TIFF}) == [["document: no row", "E_PAGE_OTHER_SIZE"]]


@pytest.mark.parametrize(
    ("name", "image", "result"),
    [
        ("a#2", "a.tif#2", "text"),
        ("a#2", "scans/a.tif#2", "text"),
        ("a#2", "elsewhere.png", "text"),
        ("a#2", "a#2.png", "text"),
        ("a#2", "a.tif#3", "E_DOCUMENT_OTHER_PAGE"),
        ("a#2", "a.tif", "E_DOCUMENT_OTHER_PAGE"),
        ("a", "a.tif#2", "E_DOCUMENT_OTHER_PAGE"),
        ("a", "a.tif", "text"),
    ],
)
def test_a_document_may_name_no_other_picture(folder: Path, tmp_path: Path, name: str, image: str, result: str) -> None:
    document(folder, f"{name}.xml", "text", image=image)
    assert imported(tmp_path, {"a.tif": TIFF})[0][-1] == result


def test_a_file_that_is_named_like_a_picture_has_its_own_document(folder: Path, tmp_path: Path) -> None:
    document(folder, "a.xml", "first", (64, 48))
    document(folder, "a#2.xml", "file", (64, 48))
    files: dict[str, bytes | Exception] = {"a.tif": TIFF, "a.tif#2": made.png(PICTURES[0])}
    assert imported(tmp_path, files) == [["first"], ["file"]]
