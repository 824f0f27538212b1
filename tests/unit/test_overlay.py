"""The pictures with lines drawn over pages."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from bec_orch.cli.run import overlays
from bec_orch.cli.run.overlays import Overlay, _mark, _own_folder, sheets, single_pages, write_overlays
from bec_orch.core.volumes import Manifest, PageCounts, VolumeRef
from bec_orch.io.own_files import marked_jpeg, write_own
from bec_orch.jobs.ldv1.overlay import caption, contact_sheet, draw_page, encode_jpeg, outcome

WIDTH, HEIGHT = 800, 200
PAPER, BLANK_CARD = 230, 208


def box(left: int, top: int, right: int, bottom: int) -> list[dict[str, int]]:
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    return [{"x": x, "y": y} for x, y in corners]


def page_row(**changes: Any) -> dict[str, Any]:
    found = {"contours": [box(100, 20, 400, 60), box(450, 20, 700, 60), box(100, 100, 700, 140)], "line_ids": [0, 0, 1]}
    told = {"error_stage": None, "error_type": None, "error_message": None, "skip_reason": None}
    geometry = {"width": WIDTH, "height": HEIGHT, "rotation_angle": None, "tps_points": None}
    return {"img_file_name": "p1.jpg", "ok": True, "skipped": False, **found, **told, **geometry, **changes}


def paper(width: int = WIDTH, height: int = HEIGHT) -> NDArray[np.uint8]:
    return np.full((height, width, 3), PAPER, np.uint8)


def changed(picture: NDArray[np.uint8], x: int, y: int) -> bool:
    return bool((picture[y, x] != PAPER).any())


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "2 lines"),
        ({"line_ids": [0, 0, 0]}, "1 line"),
        ({"line_ids": None}, "3 lines"),
        ({"line_kinds": ["main", "main", "running"]}, "1 line, 1 running"),
        ({"line_kinds": ["note", "note", "unheard-of"]}, "0 lines, 1 note, 1 other"),
        ({"contours": [], "line_ids": []}, "blank"),
        ({"ok": False, "error_type": "E_IMAGE_TRUNCATED", "contours": None}, "error: E_IMAGE_TRUNCATED"),
        ({"ok": False, "skipped": True, "skip_reason": "intro page"}, "skipped: intro page"),
    ],
)
def test_outcome_says_what_became_of_the_page(changes: dict[str, Any], told: str) -> None:
    assert outcome(page_row(**changes)) == told
    assert caption(page_row(**changes)) == f"p1.jpg: {told}"


def test_a_title_has_letters_without_their_accents() -> None:
    def sheet(name: str) -> NDArray[np.uint8]:
        return contact_sheet([("p", paper())], name=name, total=1)

    assert np.array_equal(sheet("Évé1/I\u0301"), sheet("Eve1/I"))
    assert np.array_equal(sheet("W\u0f40"), sheet("W?"))


def test_rows_of_older_files_without_line_ids_draw_each_contour_as_a_line() -> None:
    row = page_row()
    del row["line_ids"]
    picture = draw_page(paper(), row)
    assert outcome(row) == "3 lines"
    assert (picture[40, 250] != picture[40, 600]).any()


def test_pieces_of_a_line_share_a_colour_and_lines_differ() -> None:
    picture = draw_page(paper(), page_row())
    assert changed(picture, 250, 40)
    assert (picture[40, 250] == picture[40, 600]).all()
    assert (picture[40, 250] != picture[120, 250]).any()
    assert not changed(picture, 425, 40), "the gap between the pieces is left as it is"
    assert not changed(picture, 400, 80), "between the lines the page is left as it is"


def test_a_line_that_is_no_main_text_has_the_colour_of_its_kind_and_names_it() -> None:
    kinds = ["running", "running", "main"]
    picture = draw_page(paper(), page_row(line_kinds=kinds))
    other = draw_page(paper(), page_row(line_kinds=kinds, line_ids=[1, 1, 0]))
    assert (picture[40, 250] == other[40, 250]).all(), "whatever its number is"
    assert (picture[40, 250] != draw_page(paper(), page_row())[40, 250]).any()
    beside = [
        int((drawn[30:50, :95] != PAPER).any(axis=(0, 2)).sum()) for drawn in (draw_page(paper(), page_row()), picture)
    ]
    assert beside[1] > 2 * beside[0], "its kind stands beside its number"


def test_text_stays_readable_under_the_fill() -> None:
    page = paper()
    page[35:45, 200:300] = 0
    picture = draw_page(page, page_row())
    assert picture[40, 350].mean() - picture[40, 250].mean() > 100


def test_line_numbers_stand_at_the_start_of_the_line() -> None:
    picture = draw_page(paper(), page_row())
    left_of_lines = picture[:, 60:98]
    assert (left_of_lines[20:60] != PAPER).any()
    assert (left_of_lines[100:140] != PAPER).any()
    assert (left_of_lines[66:94] == PAPER).all()


def test_line_at_the_page_edge_is_numbered_inside_the_page() -> None:
    row = page_row(contours=[box(0, 20, 700, 60)], line_ids=[0])
    assert (draw_page(paper(), row)[20:60, :12] == 255).any()


def test_coordinates_are_scaled_to_a_reduced_image_and_to_the_width_asked_for() -> None:
    half = draw_page(paper(WIDTH // 2, HEIGHT // 2), page_row())
    assert half.shape == (HEIGHT // 2, WIDTH // 2, 3)
    assert changed(half, 250 // 2, 20)
    assert not changed(half, 425 // 2, 20)
    quarter = draw_page(paper(), page_row(), max_width=WIDTH // 4)
    assert quarter.shape == (HEIGHT // 4, WIDTH // 4, 3)
    assert changed(quarter, 250 // 4, 30)


def test_grey_page_is_drawn_in_colour_and_the_page_itself_is_not_touched() -> None:
    grey = np.full((HEIGHT, WIDTH), PAPER, np.uint8)
    picture = draw_page(grey, page_row())
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert len(set(picture[40, 250].tolist())) > 1
    colour = paper()
    draw_page(colour, page_row())
    assert (colour == PAPER).all()
    assert (grey == PAPER).all()


@pytest.mark.parametrize("changes", [{"rotation_angle": 3.04}, {"tps_points": [[1.0, 2.0, 3.0, 4.0]] * 12}])
def test_turned_and_curved_pages_bear_a_note(changes: dict[str, Any]) -> None:
    empty: dict[str, Any] = {"contours": [], "line_ids": []}
    assert (draw_page(paper(), page_row(**empty)) == PAPER).all()
    assert (draw_page(paper(), page_row(**empty, **changes))[:30, :200] != PAPER).any()


@pytest.mark.parametrize(
    ("image", "changes"),
    [
        (None, {}),
        (paper(), {"ok": False, "error_type": "E_IMAGE", "error_message": "The file of p1.jpg is no image. " * 9}),
        (paper(), {"ok": False, "skipped": True, "skip_reason": "intro page"}),
    ],
)
def test_pages_without_lines_to_show_are_grey_cards_with_text(
    image: NDArray[np.uint8] | None, changes: dict[str, Any]
) -> None:
    card = draw_page(image, page_row(**changes))
    assert card.shape == (HEIGHT, WIDTH, 3)
    assert (card[-1, -1] == BLANK_CARD).all()
    assert (card < 100).any(), "there is text"


def test_card_of_a_page_of_unknown_size() -> None:
    lost = {"ok": False, "error_type": "E_FETCH", "width": None, "height": None, "contours": None, "line_ids": None}
    card = draw_page(None, page_row(**lost), max_width=400)
    assert card.shape == (300, 400, 3)


def test_every_page_is_on_a_sheet_and_no_sheet_holds_more_than_60() -> None:
    names = [f"{number}.jpg" for number in range(130)]
    drawn = list(sheets(Path("o"), VolumeRef("W1", "I1", "s"), names))
    assert [sheet.file.as_posix() for sheet in drawn] == ["o/W1/I1.jpg", "o/W1/I1/sheets/2.jpg", "o/W1/I1/sheets/3.jpg"]
    assert [row for sheet in drawn for row in sheet.rows] == list(range(130))
    assert max(len(sheet.rows) for sheet in drawn) == 60
    assert drawn[2].title == "W1/I1, 121 to 130 of 130"
    (alone,) = sheets(Path("o"), VolumeRef("W1", "I1", "s"), names[:60])
    assert alone.title == "W1/I1"
    assert list(sheets(Path("o"), VolumeRef("W1", "I1", "s"), [])) == []


def test_a_picture_a_page_is_named_like_the_page() -> None:
    drawn = list(single_pages(Path("o"), VolumeRef("W1", "I1", "s"), ["a.jpg", "b.tif", "b.tif#2"]))
    assert [sheet.file.name for sheet in drawn] == ["a.jpg", "b.jpg", "b#2.jpg"]
    assert {sheet.file.parent.as_posix() for sheet in drawn} == {"o/W1/I1/pages"}
    assert [list(sheet.rows) for sheet in drawn] == [[0], [1], [2]]


def test_a_page_alone_is_as_wide_as_the_sheet() -> None:
    sheet = contact_sheet([("a", paper(300, 400))], name="W1/I1", total=1, width=400)
    assert (sheet[100, 30:300] == PAPER).all()


def test_sheet_sets_wide_pages_in_two_columns_and_high_ones_in_four() -> None:
    wide = contact_sheet([("a", paper(800, 200))] * 4, name="W1/I1", total=4, width=1000)
    high = contact_sheet([("a", paper(300, 400))] * 4, name="W1/I1", total=4, width=1000)
    assert wide.shape[1] == high.shape[1] == 1000
    assert changed_columns(wide[150]) == 2
    assert changed_columns(high[150]) == 4


def changed_columns(row_of_pixels: NDArray[np.uint8]) -> int:
    is_paper = (row_of_pixels == PAPER).all(axis=-1).astype(int)
    return int((np.diff(is_paper, prepend=0) == 1).sum())


def test_sheet_takes_pages_one_by_one_and_keeps_none_of_them() -> None:
    big = paper(1600, 1200)
    drawn: list[int] = []

    def pages() -> Iterator[tuple[str, NDArray[np.uint8]]]:
        for number in range(10):
            big[:] = PAPER - 10 * number  # the picture given before is gone: only its small copy may be used
            drawn.append(number)
            yield f"page {number}", big

    sheet = contact_sheet(pages(), name="W1/I1", total=10, width=1000)
    assert drawn == list(range(10))
    assert all((sheet == PAPER - 10 * number).all(axis=-1).any() for number in drawn)


def test_sheet_says_how_many_of_the_pages_it_shows() -> None:
    pages = [("p", paper())] * 3
    whole = contact_sheet(pages, name="W1/I1", total=3)
    part = contact_sheet(pages, name="W1/I1", total=600)
    title_width = [int(np.flatnonzero((sheet[:40] < 128).any(axis=(0, 2)))[-1]) for sheet in (whole, part)]
    assert title_width[0] < title_width[1]


def test_sheet_of_no_pages_is_a_title() -> None:
    sheet = contact_sheet([], name="W1/I1", total=0, width=500)
    assert sheet.shape[1] == 500
    assert (sheet < 100).any()


def test_very_high_page_does_not_stretch_the_sheet() -> None:
    sheet = contact_sheet([("slip", paper(20, 4000))], name="W1/I1", total=1, width=1000)
    assert sheet.shape[0] < 1600


@pytest.mark.parametrize("name", ["དཔེ་ཆ།.jpg", "new\nline\x00.jpg", "é" * 400, ""])
def test_names_with_any_letters_fit_their_place(name: str) -> None:
    row = page_row(img_file_name=name, ok=False, error_type="E_ཀ", error_message=name)
    sheet = contact_sheet([(caption(row), draw_page(None, row))] * 2, name=name, total=2, width=600)
    left_caption, right_caption = sheet[-30:-10, 280:306], sheet[-30:-10, -3:]
    assert (left_caption[:, -8:] == 255).all(), "a caption ends before the next cell"
    assert (right_caption == 255).all()


def test_encoded_picture_is_a_jpeg_that_shows_the_same() -> None:
    picture = draw_page(paper(), page_row())
    data = encode_jpeg(picture)
    again = np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), int)
    assert data.startswith(b"\xff\xd8")
    assert np.abs(again - picture).mean() < 4
    assert len(encode_jpeg(picture, quality=20)) < len(data)


def test_no_two_volumes_have_one_picture(tmp_path: Path) -> None:
    volumes = [VolumeRef("W1", "a-b", "s"), VolumeRef("W1-a", "b", "s")]
    every = [sheet.file for volume in volumes for sheet in sheets(tmp_path, volume, ["a.jpg"])]
    assert len(set(every)) == 2


def task_of(source: str, etag: str) -> Any:
    return SimpleNamespace(job="ldv1", volume=VolumeRef("W1", "I1", source), manifest_etag=etag, pages=PageCounts(ok=1))


def placed(folder: Path, task: Any, *known: Any) -> Path:
    listings = SimpleNamespace(tasks_of_volume=lambda _w_id, _i_id: known)
    return _own_folder(cast("Any", SimpleNamespace(records=SimpleNamespace(listings=listings))), task, folder)


A, B = "folder+file:///a", "folder+file:///b"
OF_B = "source-" + hashlib.sha256(B.encode()).hexdigest()[:8]


@pytest.mark.parametrize("file", ["I1.jpg", "I1/pages/a.jpg"])
def test_pictures_of_two_volumes_of_one_name_are_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    first, second = task_of(A, "aaa"), task_of(B, "bbb")
    assert placed(tmp_path, first, first) == placed(tmp_path, second, first, second) == tmp_path
    write_own(tmp_path / "W1" / file, marked_jpeg(encode_jpeg(paper()), _mark(first)))
    assert placed(tmp_path, first, first, second) == tmp_path
    assert placed(tmp_path, task_of(A, "a newer version"), first, second) == tmp_path
    assert placed(tmp_path, task_of("where it was moved", "aaa"), first) == tmp_path
    assert capsys.readouterr().err == ""
    assert placed(tmp_path, second, first, second) == tmp_path / OF_B
    own = tmp_path / "W1"
    warning, hint = capsys.readouterr().err.splitlines()
    assert warning.startswith(
        f"warning: Pictures of W1/I1 are in {tmp_path / OF_B}: the volume of that name in '{A}' has"
    )
    assert hint == f"hint: Move {own / 'I1.jpg'} and {own / 'I1'} away to have these there."
    placed(tmp_path, second)
    assert "the volume of that name in another source has" in capsys.readouterr().err


@pytest.mark.parametrize("of", ["", "nothing that is ours"])
def test_pictures_that_do_not_say_whose_they_are_keep_nobody_out(tmp_path: Path, of: str) -> None:
    write_own(tmp_path / "W1" / "I1.jpg", marked_jpeg(encode_jpeg(paper())) if not of else of.encode())
    assert placed(tmp_path, task_of(B, "bbb")) == tmp_path


def test_a_volume_of_that_name_leaves_the_pictures_of_the_other_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = {
        one.volume.source: Manifest(one.volume, one.manifest_etag, ()) for one in (task_of(A, "a"), task_of(B, "b"))
    }
    rows = pa.table({"img_file_name": ["p1.jpg"]})
    parts: Any = SimpleNamespace(
        sources=lambda source: SimpleNamespace(read_manifest=lambda _: manifests[source], pages=lambda _: None),
        artefacts=lambda: SimpleNamespace(read_rows=lambda _: rows),
        records=SimpleNamespace(listings=SimpleNamespace(tasks_of_volume=lambda *_: ())),
    )
    monkeypatch.setattr(overlays, "_success", lambda *_: None)
    monkeypatch.setattr(overlays, "volume_picture", lambda _: lambda *_: encode_jpeg(paper()))
    for wanted, names in ((Overlay.SHEETS, ("W1/I1.jpg",)), (Overlay.PAGES, ("W1/I1/pages/p1.jpg",))):
        for source, folder in ((A, ""), (B, OF_B), (A, "")):
            done = [task_of(source, source[-1])]
            assert write_overlays(parts, "ldv1", done, tmp_path, wanted) == [tmp_path / folder / name for name in names]


def test_lines_are_not_drawn_over_pictures_of_another_version(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = VolumeRef("W1", "I1", "folder+file:///x")
    source = SimpleNamespace(read_manifest=lambda _: Manifest(volume, "bbb", ()))
    parts: Any = SimpleNamespace(sources=lambda _: source)
    task: Any = SimpleNamespace(volume=volume, manifest_etag="aaa", pages=PageCounts(ok=1))
    assert write_overlays(parts, "ldv1", [task], tmp_path, Overlay.SHEETS) == []
    assert "There is no picture of W1/I1: The volume W1/I1 is another version now: bbb000" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
