"""The pages of a volume out of artefacts: in order, with the rows of the jobs that they were made from, or without."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from bec_orch.core.artefacts import ArtefactLocation, AttemptKey, ModelInfo, Success
from bec_orch.core.transcripts import Line, PageContent
from bec_orch.core.volumes import Manifest, Page, PageOutcome, PageState, VolumeRef
from bec_orch.errors import NameUnsafeError, StorageError
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.stores.objects import Objects
from bec_orch.io.stores.storage import Stores
from bec_orch.jobs.handed_on.rows import Reader
from bec_orch.orch.overview.contents import image_names, origin_of, pages_of, readable_inputs, skip_reasons
from tests.support.owners import owner

VOLUME = VolumeRef("W1", "I1", "folder+file:///scans")
SCHEMA = pa.schema([("word", pa.string())])
MODEL = ModelInfo("m", "ab")
PAGES = 75


def words_of(rows: pa.Table, inputs: Mapping[str, pa.Table]) -> Iterator[PageContent]:
    """Read the word of each row, and of the row beside it."""
    beside = inputs["lines"]["word"].to_pylist() if "lines" in inputs else [None] * rows.num_rows
    for one, other in zip(rows["word"].to_pylist(), beside, strict=True):
        yield PageContent((Line(((0, 0),), (), f"{one} {other}"),))


words = Reader(words_of)


@pytest.fixture
def store() -> Objects:
    return Stores().open("memory://artefacts")


@pytest.fixture
def artefacts(store: Objects, tmp_path: Path) -> StoredArtefacts:
    return StoredArtefacts(store, tmp_path, owner())


def publish(
    artefacts: StoredArtefacts,
    job: str,
    images: Sequence[str],
    inputs: Mapping[str, str] | None = None,
    *,
    skipped: str = "intro",
    volume: VolumeRef = VOLUME,
    etag: str = "abcdef",
) -> Success:
    manifest = Manifest(volume, etag, tuple(Page(index, image) for index, image in enumerate(images)))
    location = ArtefactLocation(job, volume, manifest.version)
    key = AttemptKey("cfg", (MODEL,), "1", job, inputs or {})
    files = artefacts.open_attempt(location, manifest, 1, key, SCHEMA, {})
    for index in range(len(images)):
        if index == 3:
            outcome = PageOutcome(index, PageState.SKIPPED, "e", skip_reason=skipped)
        elif index == 4:
            outcome = PageOutcome(
                index, PageState.ERROR, "e", error_stage="decode", error_type="E_X", error_message="no"
            )
        else:
            outcome = PageOutcome(index, PageState.OK, "e", {"word": f"{job}{index}"})
        files.rows.add(outcome)
    content = {
        "files": [dataclasses.asdict(files.assemble())],
        "inputs": inputs or {},
        "manifest_etag": etag,
        "type": "reader",
        "config": {"engine": "eyes"},
        "config_hash": "cfg",
        "models": [dataclasses.asdict(MODEL)],
        "code_version": "1",
        "finished_at": "2026-01-02T03:04:05+00:00",
    }
    files.close()
    return artefacts.commit(location, content, replaces=None)


def images(count: int = PAGES) -> list[str]:
    return [f"{number:03}.jpg" for number in range(count)]


def texts(artefacts: StoredArtefacts, success: Success) -> list[str | None]:
    found = pages_of(artefacts, success, readable_inputs(artefacts, success), words)
    return [page.content.lines[0].text if page.content.lines else page.note for page in found]


def expected(beside: str | None) -> list[str]:
    every = [f"ocr{n} {beside and f'{beside}{n}'}" for n in range(PAGES)]
    every[3:5] = ["skipped: intro", "error: E_X"]
    return every


def test_rows_meet_those_that_they_were_made_from(artefacts: StoredArtefacts) -> None:
    lines = publish(artefacts, "lines", images())
    success = publish(artefacts, "ocr", images(), {"lines": lines.files[0].key, "file:///truth/W1/I1": "ab" * 32})
    assert image_names(artefacts, success) == images()
    assert texts(artefacts, success) == expected("lines")
    assert [page.index for page in pages_of(artefacts, success, {}, words)] == list(range(PAGES))


def test_why_pages_were_skipped_is_counted(artefacts: StoredArtefacts) -> None:
    assert skip_reasons(artefacts, publish(artefacts, "ocr", images(), skipped="lines: E_X")) == {"lines: E_X": 1}
    assert skip_reasons(artefacts, publish(artefacts, "few", images(3))) == {}


def test_rows_of_other_pages_are_not_taken_for_them(artefacts: StoredArtefacts) -> None:
    others = publish(artefacts, "lines", list(reversed(images())))
    success = publish(artefacts, "ocr", images(), {"lines": others.files[0].key})
    assert texts(artefacts, success) == expected(None)


def test_what_is_gone_is_done_without(artefacts: StoredArtefacts, store: Objects) -> None:
    lines = publish(artefacts, "lines", images())
    success = publish(artefacts, "ocr", images(), {"lines": lines.files[0].key})
    store.delete([lines.files[0].key])
    assert readable_inputs(artefacts, success) == {}
    assert texts(artefacts, success) == expected(None)


def test_a_file_that_is_gone_is_reported(artefacts: StoredArtefacts, store: Objects) -> None:
    success = publish(artefacts, "ocr", images(2))
    store.delete([success.files[0].key])
    with pytest.raises(StorageError, match="is gone"):
        image_names(artefacts, success)


@pytest.mark.parametrize("image", ["../a.jpg", "sub/a.jpg", "a\n.jpg", ".."])
def test_a_name_that_would_leave_its_folder_is_refused(artefacts: StoredArtefacts, image: str) -> None:
    with pytest.raises(NameUnsafeError):
        image_names(artefacts, publish(artefacts, "ocr", ["a.jpg", image]))


def test_the_origin_is_what_success_json_says(artefacts: StoredArtefacts) -> None:
    success = publish(artefacts, "ocr", images(2))
    origin = origin_of(success)
    assert (origin.job, origin.job_type, origin.engine, origin.models) == ("ocr", "reader", "eyes", (MODEL,))
    assert (origin.code_version, origin.config_hash, origin.digest) == ("1", "cfg", success.files[0].sha256)
    assert origin.finished_at == "2026-01-02T03:04:05+00:00"


def test_the_origin_of_an_older_artefact_is_not_made_up() -> None:
    older = Success(ArtefactLocation("ocr", VOLUME, "abcdef"), "e", (), content={"type": ["odd"], "config": "odd"})
    assert origin_of(older).facts() == (("program", "bec_orch"), ("job", "ocr"))
    odd = dataclasses.replace(older, manifest_etag="abcdef", content={"finished_at": "<yesterday>", "type": "ocrv1"})
    assert origin_of(odd).facts() == (("program", "bec_orch"), ("job", "ocr"), ("job type", "ocrv1"))
