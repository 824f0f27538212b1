"""Scans as a command line names them: a path, what its source is to do behind a `#`, and the name of a source."""

from pathlib import Path

import pytest

from bec_orch.cli.arguments.scans import find_scans, is_scans
from bec_orch.errors import UsageError
from bec_orch.settings.config import Settings
from tests.support.workspaces import workspace


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def found(what: object) -> tuple[list[str], set[str]]:
    scans = find_scans(str(what), Settings())
    return [str(each) for each in scans.volumes], {scans.name, *(each.source for each in scans.volumes)}


def test_a_pdf_and_a_folder_of_them_take_a_resolution(tmp_path: Path) -> None:
    pdf = put(tmp_path / "books" / "a.pdf")
    name = f"pdf+{tmp_path.as_uri()}#dpi=400"
    assert found(f"{pdf}#dpi=400") == found(f"{pdf.parent}#dpi=400") == found(name) == (["books/a"], {name})
    assert is_scans(f"{pdf}#dpi=400")
    assert not is_scans(f"{pdf}.no#dpi=400")


def test_a_workspace_takes_a_file_group(tmp_path: Path) -> None:
    folder = workspace(tmp_path / "W1" / "I1", {"1.tif": b"x"})
    name = f"mets+{tmp_path.as_uri()}#group=OCR-D-IMG"
    assert found(f"{folder}#group=OCR-D-IMG") == found(f"{folder}/mets.xml#group=OCR-D-IMG") == (["W1/I1"], {name})


def test_a_sign_in_the_name_of_what_is_there_is_part_of_it(tmp_path: Path) -> None:
    put(tmp_path / "W#dpi=1" / "I1#dpi=2" / "1.jpg")
    name = f"folder+{tmp_path.as_uri()}"
    assert found(tmp_path / "W#dpi=1" / "I1#dpi=2") == (["W#dpi=1/I1#dpi=2"], {name})
    pdf = put(tmp_path / "P#1" / "a#b.pdf")
    assert found(f"{pdf}#dpi=72") == (["P#1/a#b"], {f"pdf+{tmp_path.as_uri()}#dpi=72"})


@pytest.mark.parametrize(
    ("what", "code", "told"),
    [
        ("books/a.pdf#dpi=1", "E_SOURCE_NAME", "36 to 1200"),
        ("books/a.pdf#group=x", "E_SOURCE_NAME", "dpi=..."),
        ("W1/I1#dpi=400", "E_SOURCE_NAME", "`#dpi=...` is for PDFs"),
        ("I0#dpi=400", "E_PATH_MISSING", "I0'"),
        ("I0#b", "E_PATH_MISSING", "I0#b'"),
        ("#dpi=400", "E_PATH_MISSING", "#dpi=400'"),
        ("x" * 300, "E_PATH_MISSING", "There is no folder 'x"),
    ],
)
def test_what_cannot_be_done_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, code: str, told: str
) -> None:
    put(tmp_path / "books" / "a.pdf")
    put(tmp_path / "W1" / "I1" / "1.jpg")
    monkeypatch.chdir(tmp_path)
    assert is_scans(what) == (code == "E_SOURCE_NAME")
    with pytest.raises(UsageError) as caught:
        find_scans(what, Settings())
    assert caught.value.code == code
    assert told in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("layout", ["folder", "flat", "bdrc"])
def test_a_layout_that_takes_nothing_refuses_what_stands_behind_it(tmp_path: Path, layout: str) -> None:
    put(tmp_path / "W1" / "I1" / "1.jpg")
    with pytest.raises(UsageError) as caught:
        find_scans(f"{layout}+{tmp_path.as_uri()}#dpi=400", Settings())
    assert (caught.value.code, f"`{layout}`" in caught.value.hint) == ("E_SOURCE_NAME", True)


@pytest.mark.parametrize("what", ["", " "])
def test_an_empty_text_is_not_the_current_folder(what: str) -> None:
    with pytest.raises(UsageError, match="empty text"):
        find_scans(what, Settings())


def test_scans_are_found_by_a_path_in_another_unicode_form(tmp_path: Path) -> None:
    folder = tmp_path / "Re\u0301" / "N\u00e9"
    folder.mkdir(parents=True)
    (folder / "1.jpg").write_bytes(b"x")
    typed = str(tmp_path / "R\u00e9" / "Ne\u0301")
    assert is_scans(typed)
    found = find_scans(typed, Settings())
    assert [(each.w_id, each.i_id) for each in found.volumes] == [("Re\u0301", "N\u00e9")]
