"""The report on a volume that is exported: nothing that its documents lack goes unsaid."""

from pathlib import Path

import pytest

from bec_orch.cli.export.documents import Destination
from bec_orch.cli.export.volume import Wanted, export_volume
from bec_orch.cli.export.volumes import ExportResult, _newest
from bec_orch.core.ports.sources import ImageSource
from bec_orch.core.records.overview import DoneVolume
from bec_orch.core.tasks import Job
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import UsageError
from bec_orch.exports.formats import Level, Material
from bec_orch.io.artefacts.artefacts import StoredArtefacts
from bec_orch.io.stores.storage import Stores
from tests.support.owners import owner
from tests.unit.orch.test_contents import VOLUME, images, publish, words


def no_source(source: str) -> ImageSource:
    raise AssertionError(f"text wants no images of {source}")


@pytest.mark.parametrize(
    ("reason", "count"),
    [("intro page", 0), ("lines: intro page", 0), ("lines: E_X", 1), ("lines: no row", 1), ("others: E_X", 0)],
)
def test_pages_that_a_job_before_failed_on_are_reported(tmp_path: Path, reason: str, count: int) -> None:
    artefacts = StoredArtefacts(Stores().open("memory://artefacts"), tmp_path, owner())
    success = publish(artefacts, "ocr", images(5), skipped=reason)
    wanted = Wanted([("txt", Level.VOLUME)], Material(), words, {"lines": "lines"})
    destination = Destination(Stores().open("memory://documents"), tmp_path, "bec export ocr")
    report = export_volume(success.location, wanted, artefacts, no_source, destination)
    assert report.errors_before == count
    notes = [note for note in report.notes if "skipped" in note]
    assert notes == [f"{VOLUME}: 1 page is skipped: it is an error of lines ({reason[7:]})."] * count
    report.page_errors = 0
    assert ExportResult("x", done=[report]).exit_code == 3 * count


def test_what_is_in_the_way_of_one_format_stays_and_the_others_are_written(tmp_path: Path) -> None:
    artefacts = StoredArtefacts(Stores().open("memory://artefacts"), tmp_path, owner())
    success = publish(artefacts, "ocr", images(2))
    documents = Stores().open("memory://documents")
    folder = f"{VOLUME.w_id}/{VOLUME.i_id}"
    theirs = [f"{folder}/{VOLUME.w_id}-{VOLUME.i_id}.txt", f"{folder}/txt/{Path(images(1)[0]).stem}.txt"]
    for key in theirs:
        documents.create(key, b"of somebody else")
    formats = [("txt", Level.VOLUME), ("txt", Level.PAGE)]
    with pytest.raises(UsageError) as caught:
        export_volume(
            success.location,
            Wanted(formats, Material(), words),
            artefacts,
            no_source,
            Destination(documents, tmp_path, "bec export ocr"),
        )
    assert caught.value.code == "E_FILE_FOREIGN"
    assert all(f"The file {key} in" in caught.value.message for key in theirs)
    hints = [f"`bec export ocr --format txt --level {level} --volume {VOLUME} --force`" for level in ("volume", "page")]
    assert all(hint in caught.value.hint for hint in hints)
    assert len(documents.list(f"{folder}/txt").objects) == 2


def test_of_volumes_of_one_name_that_of_the_source_that_is_asked_for_is_taken_else_the_newest() -> None:
    job = Job(1, "lines", "toy", {}, "h")
    done = [
        DoneVolume(VolumeRef("W1", "I1", f"folder+file:///{name}"), task_id, f"etag-{name}")
        for task_id, name in enumerate(("older", "newer"))
    ]
    newest = _newest(job, done, "")
    assert newest
    assert newest.location.volume == done[1].volume
    found = _newest(job, done, "folder+file:///older")
    assert found
    assert found.location.volume == done[0].volume
    assert found.is_elsewhere
    assert _newest(job, done, "folder+file:///none") is None


def test_who_names_a_pdf_need_not_say_how_it_was_worked_on() -> None:
    job, pdf = Job(1, "lines", "toy", {}, "h"), "pdf+file:///a"
    done = [DoneVolume(VolumeRef("W1", "I1", source), at, "e") for at, source in enumerate((pdf, f"{pdf}#dpi=400"))]
    for chosen in (done, done[1:]):
        found = _newest(job, chosen, pdf)
        assert found
        assert found.location.volume == chosen[0].volume, "that very one comes first"


def test_a_volume_of_that_name_leaves_the_documents_of_the_other_as_they_are(tmp_path: Path) -> None:
    artefacts = StoredArtefacts(Stores().open("memory://artefacts"), tmp_path, owner())
    success = publish(artefacts, "ocr", images(2))
    destination = Destination(Stores().open("memory://documents"), tmp_path, "bec export ocr", force=True)
    wanted = Wanted([("txt", Level.PAGE)], Material(), words)
    export_volume(success.location, wanted, artefacts, no_source, destination)
    there = {one.key: destination.objects.read(one.key) for one in destination.objects.walk("W1")}
    other = publish(artefacts, "ocr", images(3), volume=VolumeRef("W1", "I1", "folder+file:///others"), etag="123456")
    with pytest.raises(UsageError) as caught:
        export_volume(other.location, wanted, artefacts, no_source, destination)
    assert caught.value.code == "E_EXPORT_OTHER_VOLUME"
    assert {one.key: destination.objects.read(one.key) for one in destination.objects.walk("W1")} == there
