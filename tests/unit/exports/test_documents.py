"""Documents in a store: whole or not at all, ours or left alone, and known again."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bec_orch.cli.export.documents import _AT_ONCE, Destination, Documents, require_own_folder
from bec_orch.cli.export.record import parse, record_key
from bec_orch.core.artefacts import ArtefactLocation
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import DiskFullError, UsageError
from bec_orch.io.stores.objects import Objects
from bec_orch.io.stores.storage import Stores
from tests.unit.exports.made import NOTHING_TOLD

VOLUME = NOTHING_TOLD.volume
LOCATION = ArtefactLocation("ocr", VOLUME, "abcdef")
KEY = "W2/I2/alto/a.xml"
OTHER = "W2/I2/alto/b.xml"
RECORD = record_key(VOLUME, "alto-page")


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    url = (tmp_path / "out").as_uri() if request.param == "folder" else "memory://out"
    return Stores().open(url, create=True)


def documents(store: Objects, tmp_path: Path, key: str = "first", *, force: bool = False) -> Documents:
    return Documents(Destination(store, tmp_path, "bec export ocrv1", force), LOCATION, "alto-page", key, NOTHING_TOLD)


def export(store: Objects, tmp_path: Path, key: str, content: dict[str, bytes], *, force: bool = False) -> Documents:
    made = documents(store, tmp_path, key, force=force)
    kept = made.kept(content)
    for name, data in content.items():
        if name in kept:
            made.keep(name)
        else:
            made.put(name, [data])
    made.finish()
    return made


def write_and_be_killed(store: Objects, tmp_path: Path, key: str, written: dict[str, bytes]) -> None:
    """Write documents, and no record that all is done."""
    with documents(store, tmp_path, key) as made:
        for name, data in written.items():
            made.put(name, [data])
        made.flush()


def content(store: Objects, key: str) -> bytes:
    blob = store.read(key)
    assert blob
    return blob.data


def overwrite(store: Objects, key: str, data: bytes) -> None:
    blob = store.read(key)
    assert blob
    assert store.replace(key, data, store.version(blob))


def test_the_same_is_not_written_again(store: Objects, tmp_path: Path) -> None:
    assert export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"}).written == 2
    again = export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    assert (again.written, again.skipped) == (0, 2)


def test_a_document_that_was_removed_is_made_again(store: Objects, tmp_path: Path) -> None:
    export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    store.delete([KEY])
    again = export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    assert (again.written, again.skipped, content(store, KEY)) == (1, 1, b"1")


def test_documents_of_an_older_artefact_are_replaced(store: Objects, tmp_path: Path) -> None:
    export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    assert export(store, tmp_path, "second", {KEY: b"new", OTHER: b"2"}).written == 2
    assert content(store, KEY) == b"new"
    assert parse(content(store, RECORD)) is not None


def test_a_correction_stays_while_the_artefact_is_the_same(store: Objects, tmp_path: Path) -> None:
    export(store, tmp_path, "first", {KEY: b"1"})
    overwrite(store, KEY, b"corrected")
    assert export(store, tmp_path, "first", {KEY: b"1"}).skipped == 1
    assert content(store, KEY) == b"corrected"


def test_a_correction_is_written_over_where_that_is_asked_for(store: Objects, tmp_path: Path) -> None:
    export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    overwrite(store, KEY, b"corrected")
    again = export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"}, force=True)
    assert (again.written, again.skipped, content(store, KEY)) == (1, 1, b"1")


def test_a_document_that_lacks_images_is_made_again_unless_it_was_corrected(store: Objects, tmp_path: Path) -> None:
    lacking = documents(store, tmp_path)
    for key in (KEY, OTHER):
        lacking.put(key, [b"bare"])
        lacking.note_lacking(key)
    lacking.finish()
    overwrite(store, OTHER, b"corrected")
    again = export(store, tmp_path, "first", {KEY: b"whole", OTHER: b"whole"})
    assert (again.written, again.skipped) == (1, 1)
    assert (content(store, KEY), content(store, OTHER)) == (b"whole", b"corrected")
    assert export(store, tmp_path, "first", {KEY: b"whole", OTHER: b"whole"}).skipped == 2


def test_a_link_that_leads_nowhere_is_no_document(tmp_path: Path) -> None:
    store = Stores().open((tmp_path / "out").as_uri(), create=True)
    export(store, tmp_path, "first", {KEY: b"1"})
    document = tmp_path / "out" / KEY
    document.unlink()
    document.symlink_to(tmp_path / "gone")
    with pytest.raises(UsageError, match="is not as this program wrote it"):
        export(store, tmp_path, "first", {KEY: b"1"})
    assert export(store, tmp_path, "first", {KEY: b"1"}, force=True).written == 1
    assert (content(store, KEY), document.is_symlink(), (tmp_path / "gone").exists()) == (b"1", False, False)


def test_a_correction_stays_when_the_artefact_is_another_one_and_the_rest_is_replaced(
    store: Objects, tmp_path: Path
) -> None:
    export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    overwrite(store, KEY, b"corrected")
    for _ in range(2):
        with pytest.raises(UsageError, match="is not as this program wrote it") as caught:
            export(store, tmp_path, "second", {KEY: b"new", OTHER: b"new"})
        assert caught.value.code == "E_FILE_FOREIGN"
        assert (content(store, KEY), content(store, OTHER)) == (b"corrected", b"new")
    export(store, tmp_path, "second", {KEY: b"new", OTHER: b"new"}, force=True)
    assert content(store, KEY) == b"new"


def test_a_correction_is_told_again_where_the_other_artefact_would_say_what_was_corrected(
    store: Objects, tmp_path: Path
) -> None:
    export(store, tmp_path, "first", {KEY: b"1"})
    overwrite(store, KEY, b"corrected")
    for _ in range(2):
        with pytest.raises(UsageError, match="is not as this program wrote it"):
            export(store, tmp_path, "second", {KEY: b"1"})
    assert content(store, KEY) == b"corrected"


def test_the_document_of_a_page_that_left_stays_and_is_ours_when_the_page_comes_back(
    store: Objects, tmp_path: Path
) -> None:
    export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    for key in ("second", "third"):
        export(store, tmp_path, key, {KEY: b"alone"})
        assert content(store, OTHER) == b"2"
    assert export(store, tmp_path, "fourth", {KEY: b"1", OTHER: b"new"}).written == 2
    assert content(store, OTHER) == b"new"
    record = parse(content(store, RECORD))
    assert record is not None
    assert (set(record.files), record.left) == ({KEY, OTHER}, {})


def test_a_document_that_left_is_no_document_of_the_same_artefact(store: Objects, tmp_path: Path) -> None:
    export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    export(store, tmp_path, "second", {KEY: b"1"})
    again = export(store, tmp_path, "second", {KEY: b"1", OTHER: b"new"})
    assert (again.written, again.skipped, content(store, OTHER)) == (1, 1, b"new")


def test_the_document_of_a_page_that_left_is_not_written_over_where_it_was_changed(
    store: Objects, tmp_path: Path
) -> None:
    export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    export(store, tmp_path, "second", {KEY: b"1"})
    overwrite(store, OTHER, b"corrected")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"W2/I2/alto/b\.xml"):
            export(store, tmp_path, "third", {KEY: b"1", OTHER: b"new"})
    assert content(store, OTHER) == b"corrected"
    # As it was written, it is ours again.
    overwrite(store, OTHER, b"2")
    assert export(store, tmp_path, "third", {KEY: b"1", OTHER: b"new"}).foreign == []


def test_a_record_of_the_time_before_documents_left_is_read() -> None:
    record = parse(b'{"bec_orch": 1, "key": "first", "made_with": [], "files": {"a": "1"}, "lacking": []}')
    assert record is not None
    assert (record.files, record.left, record.ended, record.begun) == ({"a": "1"}, {}, {"a": "1"}, {})


def test_the_command_that_writes_over_a_document_names_its_volume_and_format(store: Objects, tmp_path: Path) -> None:
    store.create(KEY, b"of somebody else")
    destination = Destination(store, tmp_path, "bec --home out export ocrv1")
    made = Documents(destination, LOCATION, "alto-page", "first", NOTHING_TOLD)
    made.put(KEY, [b"1"])
    with pytest.raises(UsageError) as caught:
        made.finish()
    again = "bec --home out export ocrv1 --format alto --level page --volume W2/I2 --force"
    told = f"Take corrections over with `bec import`, move it away, or write over it with `{again}`."
    assert caught.value.hint == told


def test_files_of_others_stay(store: Objects, tmp_path: Path) -> None:
    store.create(KEY, b"of somebody else")
    with pytest.raises(UsageError, match="W2/I2/alto/a"):
        export(store, tmp_path, "first", {KEY: b"1"})
    assert content(store, KEY) == b"of somebody else"


def test_a_record_of_others_stays(store: Objects, tmp_path: Path) -> None:
    store.create(RECORD, b'{"bec_orch": 7}')
    with pytest.raises(UsageError, match="export-alto-page"):
        documents(store, tmp_path)
    assert content(store, RECORD) == b'{"bec_orch": 7}'


def test_after_a_kill_what_is_there_counts(store: Objects, tmp_path: Path) -> None:
    write_and_be_killed(store, tmp_path, "first", {KEY: b"1"})
    assert export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"}).foreign == []


@pytest.mark.parametrize("before", [{}, {KEY: b"0", OTHER: b"0"}])
def test_what_exports_wrote_that_were_killed_is_ours_for_every_artefact_that_follows(
    store: Objects, tmp_path: Path, before: dict[str, bytes]
) -> None:
    if before:
        export(store, tmp_path, "zero", before)
    write_and_be_killed(store, tmp_path, "first", {KEY: b"1", OTHER: b"1"})
    write_and_be_killed(store, tmp_path, "second", {KEY: b"2"})
    assert export(store, tmp_path, "third", {KEY: b"3", OTHER: b"3"}).foreign == []
    assert (content(store, KEY), content(store, OTHER)) == (b"3", b"3")
    record = parse(content(store, RECORD))
    assert record is not None
    assert record.begun == {}


def test_an_export_that_is_killed_before_it_writes_leaves_what_was_there_ours(
    store: Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    with monkeypatch.context() as patched:
        patched.setattr(Documents, "_write", lambda *_: None)
        write_and_be_killed(store, tmp_path, "second", {KEY: b"new"})
    assert content(store, KEY) == b"1"
    assert export(store, tmp_path, "third", {KEY: b"3", OTHER: b"3"}).foreign == []


def test_what_a_killed_export_wrote_is_no_document_of_the_one_before(store: Objects, tmp_path: Path) -> None:
    export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    write_and_be_killed(store, tmp_path, "second", {KEY: b"new"})
    again = export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    assert (again.written, again.skipped, content(store, KEY)) == (1, 1, b"1")


def test_a_correction_of_what_a_killed_export_wrote_stays(store: Objects, tmp_path: Path) -> None:
    write_and_be_killed(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    overwrite(store, KEY, b"corrected")
    for _ in range(2):
        with pytest.raises(UsageError, match=r"W2/I2/alto/a\.xml"):
            export(store, tmp_path, "second", {KEY: b"new", OTHER: b"new"})
    assert (content(store, KEY), content(store, OTHER)) == (b"corrected", b"new")
    # As one of the two wrote it, it is ours again.
    overwrite(store, KEY, b"1")
    assert export(store, tmp_path, "second", {KEY: b"new", OTHER: b"new"}).foreign == []


def test_of_many_documents_a_few_are_taken_at_a_time_and_an_export_that_breaks_off_keeps_no_others(
    store: Objects, tmp_path: Path
) -> None:
    many = {f"W2/I2/alto/{number}.xml": b"1" for number in range(_AT_ONCE + 1)}
    with documents(store, tmp_path) as made:
        for name, data in many.items():
            made.put(name, [data])
    assert len(store.list("W2/I2/alto").objects) == _AT_ONCE
    assert [path.name for path in tmp_path.iterdir() if path.name != "out"] == []
    assert export(store, tmp_path, "second", dict.fromkeys(many, b"2")).foreign == []


def test_after_a_kill_between_two_artefacts_it_goes_on(store: Objects, tmp_path: Path) -> None:
    export(store, tmp_path, "first", {KEY: b"1", OTHER: b"2"})
    write_and_be_killed(store, tmp_path, "second", {KEY: b"new"})
    export(store, tmp_path, "second", {KEY: b"new", OTHER: b"new"})
    assert (content(store, KEY), content(store, OTHER)) == (b"new", b"new")


def test_a_document_that_breaks_off_leaves_nothing(store: Objects, tmp_path: Path) -> None:
    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise DiskFullError("There is no room.")

    with pytest.raises(DiskFullError), documents(store, tmp_path) as made:
        made.put(KEY, pieces())
    assert store.read(KEY) is None
    assert [path.name for path in tmp_path.iterdir() if path.name != "out"] == []


def test_what_the_disk_says_is_reported(tmp_path: Path) -> None:
    store = Stores().open("memory://out")
    with pytest.raises(Exception, match="Could not make a folder in /proc"):
        documents(store, Path("/proc")).put(KEY, [b"1"])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{}",
        b'{"bec_orch": 1}',
        b'{"bec_orch": 1, "key": 1, "files": []}',
        b"\xff",
        b'{"bec_orch": 1, "key": 1, "files": {}, "left": []}',
        b'{"bec_orch": 1, "key": 1, "files": {}, "begun": []}',
        b'{"bec_orch": 1, "key": 1, "files": {}, "begun": {"a": 1}}',
    ],
)
def test_what_is_no_record_is_none(data: bytes) -> None:
    assert parse(data) is None


NAMESAKE = ArtefactLocation("ocr", VolumeRef("W2", "I2", "folder+file:///other's scans"), "fedcba")


def test_documents_of_a_volume_of_that_name_in_another_source_are_neither_lost_nor_mixed(
    store: Objects, tmp_path: Path
) -> None:
    destination = Destination(store, tmp_path, "bec export ocrv1", force=True)
    require_own_folder(destination, NAMESAKE, ["alto"])
    export(store, tmp_path, "first", {KEY: b"1"})
    require_own_folder(destination, LOCATION, ["alto"])
    with pytest.raises(UsageError) as caught:
        require_own_folder(destination, NAMESAKE, ["alto"])
    assert caught.value.code == "E_EXPORT_OTHER_VOLUME"
    assert caught.value.message == (
        f"The documents in {store.url}/W2/I2 are of the volume of that name in 'folder+file:///scans': "
        "those of 'folder+file:///other's scans' are not written there."
    )
    with pytest.raises(UsageError) as caught:
        require_own_folder(replace(destination, again="bec --home H export ocr"), NAMESAKE, ["alto", "txt"])
    (command,) = re.findall("`(.+)`", caught.value.hint)
    assert shlex.split(command)[4:] == [
        *("ocr", "--format", "alto,txt", "--volume", "W2/I2"),
        *("--source", NAMESAKE.volume.source, "--out", "DIR"),
    ]


def test_documents_of_a_volume_that_was_moved_are_its_own(store: Objects, tmp_path: Path) -> None:
    export(store, tmp_path, "first", {KEY: b"1"})
    moved = replace(NAMESAKE, version=LOCATION.version)
    require_own_folder(Destination(store, tmp_path, "bec export ocrv1"), moved, ["alto"])
    again = Documents(Destination(store, tmp_path, "bec export ocrv1"), moved, "txt-volume", "first", NOTHING_TOLD)
    again.put("W2/I2/W2-I2.txt", [b"1"])
    again.finish()
    require_own_folder(Destination(store, tmp_path, "bec export ocrv1"), NAMESAKE, ["alto"])


def test_a_record_of_before_tells_no_source_and_keeps_nobody_out(store: Objects, tmp_path: Path) -> None:
    export(store, tmp_path, "first", {KEY: b"1"})
    overwrite(store, RECORD, re.sub(rb'"(source|version)": "[^"]*"', rb'"\1": ""', content(store, RECORD)))
    require_own_folder(Destination(store, tmp_path, "bec export ocrv1"), NAMESAKE, ["alto"])
    store.create("W2/I2/export-notes.json", b"somebody's own")
    require_own_folder(Destination(store, tmp_path, "bec export ocrv1"), NAMESAKE, ["alto"])
