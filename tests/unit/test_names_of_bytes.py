"""Names that are no UTF-8, wherever they come from, are told as that, with their bytes shown; nothing is left out."""

import json
import os
from pathlib import Path

import pytest

from bec_orch.cli.queue.enqueue import _of_file
from bec_orch.cli.terminal.console import note, print_json, say
from bec_orch.core.names import check_name, is_utf8, printable
from bec_orch.core.volumes import VolumeRef
from bec_orch.errors import ConfigError, ManifestError, NameUnsafeError, UsageError
from bec_orch.io.postgres.adapters import clean_text
from bec_orch.io.postgres.embedded.embedded import EmbeddedPostgres
from bec_orch.io.sources.bdrc_manifest import parse_dimensions
from bec_orch.io.sources.detect import detect_source
from bec_orch.io.sources.sources import Sources, parse_source
from bec_orch.io.stores.storage import Stores
from bec_orch.orch.backlog.volume_lists import parse_volume, parse_volume_list

CAFE = os.fsdecode(b"caf\xe9")


def images(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names or ("1.jpg",):
        (folder / name).write_bytes(b"x")
    return folder


@pytest.mark.parametrize(("name", "shown"), [(CAFE, r"'caf\xe9'"), ("half\ud800", r"'half\ud800'")])
def test_such_a_name_is_shown_as_what_it_is(name: str, shown: str) -> None:
    assert not is_utf8(name)
    assert printable(name) == shown
    with pytest.raises(NameUnsafeError) as caught:
        check_name("work", name)
    assert caught.value.message == f"The work name {shown} is not UTF-8."


def test_a_control_character_is_still_shown_as_one() -> None:
    with pytest.raises(NameUnsafeError, match="holds a control character"):
        check_name("work", "W\x07")


def test_folders_of_such_names_are_reported_beside_the_good_ones(tmp_path: Path) -> None:
    images(tmp_path / "W1" / "I1", "1.jpg", "2.jpg", "3.jpg")
    images(tmp_path / "W1" / CAFE)
    images(tmp_path / CAFE / "I2")
    found = detect_source(tmp_path)
    assert [str(volume) for volume in found.volumes] == ["W1/I1"]
    assert len(found.rejected) == 2
    assert all(rejected.reason.endswith("is not UTF-8.") for rejected in found.rejected)


def test_such_names_in_the_layout_of_the_library_are_reported(tmp_path: Path) -> None:
    images(tmp_path / "Works" / "ab" / CAFE / "images" / f"{CAFE}-I1")
    with pytest.raises(UsageError) as caught:
        detect_source(tmp_path)
    assert r"The work name 'caf\xe9' is not UTF-8." in caught.value.message


def test_a_tree_below_such_a_folder_is_found_and_read(tmp_path: Path) -> None:
    images(tmp_path / CAFE / "W1" / "I1", "1.jpg", "2.jpg")
    for path in (tmp_path / CAFE, tmp_path / CAFE / "W1", tmp_path / CAFE / "W1" / "I1"):
        found = detect_source(path)
        assert [str(volume) for volume in found.volumes] == ["W1/I1"]
        assert is_utf8(found.name)
        manifest = Sources(Stores())(found.name).read_manifest(found.volumes[0])
        assert [page.filename for page in manifest.pages] == ["1.jpg", "2.jpg"]


def test_a_work_of_such_a_name_is_refused_for_its_name(tmp_path: Path) -> None:
    images(tmp_path / CAFE / "I1")
    with pytest.raises(UsageError) as caught:
        detect_source(tmp_path / CAFE)
    assert r"The folder name 'caf\xe9' is not UTF-8." in caught.value.message
    assert ".." not in caught.value.message


def test_a_page_of_such_a_name_is_reported(tmp_path: Path) -> None:
    images(tmp_path / "W1" / "I1", "1.jpg", f"{CAFE}.jpg")
    source = detect_source(tmp_path).name
    with pytest.raises(ManifestError) as caught:
        Sources(Stores())(source).read_manifest(VolumeRef("W1", "I1", source))
    assert caught.value.message == r"The folder of W1/I1 is refused: The page name 'caf\xe9.jpg' is not UTF-8."


def test_a_manifest_with_half_a_surrogate_is_reported() -> None:
    with pytest.raises(ManifestError) as caught:
        parse_dimensions(json.dumps([{"filename": "p\udce9.jpg"}]).encode(), "m")
    assert caught.value.message == r"The manifest 'm' is refused: The page name 'p\xe9.jpg' is not UTF-8."


def test_lines_of_a_list_that_are_no_utf8_are_left_out_and_reported(tmp_path: Path) -> None:
    file = tmp_path / CAFE
    file.write_bytes(b"W\xe9,I1\nW1,I1\nW1,I2,folder+file:///\xe9\n")
    found = _of_file(file, "folder+file:///scans")
    assert [str(volume) for volume in found.volumes] == ["W1/I1"]
    first, third = found.faults
    assert (first.line, first.message) == (1, r"'W\xe9,I1' is not UTF-8.")
    assert (third.line, third.message) == (3, r"'W1,I2,folder+file:///\xe9' is not UTF-8.")


def test_volumes_and_sources_of_such_names_are_refused() -> None:
    with pytest.raises(UsageError, match="is not UTF-8"):
        parse_volume(f"{CAFE}/I1", "folder+file:///scans")
    with pytest.raises(UsageError, match=r"'folder\+file:///caf\\xe9' is not UTF-8"):
        parse_source(f"folder+file:///{CAFE}")
    assert parse_volume_list(["W1,I1"], "folder+file:///scans").faults == ()


def test_a_workspace_of_such_a_name_is_refused_before_postgresql_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not UTF-8") as caught:
        EmbeddedPostgres(tmp_path / CAFE).start()
    assert caught.value.code == "E_PG_HOME"
    assert not (tmp_path / CAFE).exists()


def test_what_is_printed_shows_the_bytes_and_json_can_be_read_again(capsys: pytest.CaptureFixture[str]) -> None:
    say(f"It is {CAFE}.")
    note(f"It is {CAFE}.")
    print_json({"path": CAFE})
    told = capsys.readouterr()
    assert told.err == "It is caf\\xe9.\n"
    first, _, rest = told.out.partition("\n")
    assert first == r"It is caf\xe9."
    assert rest.encode()
    assert json.loads(rest) == {"path": CAFE}


def test_the_database_gets_what_it_can_hold() -> None:
    assert clean_text(f"{CAFE}\0\nབོད") == "caf\\xe9\\x00\nབོད"
