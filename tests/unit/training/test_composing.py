"""Composed pages: what is drawn and what is said of it agree."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from bec_orch.jobs.ldv1.bec.network_input import STRIDE
from training.lines.book import LEAST_OF_A_PAGE, poem, spread
from training.lines.compose import CROPS, Layout, composed, crops, packed, repeated, trimmed, worn
from training.lines.kinds import BODY, Kind, Page, TrueLine
from training.lines.material import FontHand, Material, PictureHand, _ink_of, _picture
from training.lines.pecha import Leaf, block_print, holes, stacked
from training.lines.seen import contrast, still_seen
from training.lines.sheet import Sheet
from training.lines.strips import Strip, joined, measured
from training.lines.targets import MAIN, OTHER, QUARTERS, targets
from training.lines.warping import Warp, on_its_side, shrunk
from training.shared import DATA, Bytes
from training.wear import Medium, bound, scanned

LABELS = {Kind.MAIN: MAIN, Kind.RUNNING: OTHER, Kind.MARGIN: OTHER, Kind.NOTE: OTHER, Kind.OTHER: OTHER}


def letters(width: int, seed: int = 0, height: int = 18) -> Strip:
    """A line of bars, as letters stand: densest in the middle."""
    rng = np.random.default_rng(seed)
    ink = np.zeros((2 * height, width), np.uint8)
    for x in range(2, width - 6, 9):
        ink[height // 2 + int(rng.integers(0, 4)) : 3 * height // 2, x : x + 4] = 255
    strip = measured(ink, straight=True)
    assert strip
    return strip


def sheet_of(*lines: tuple[Kind, float, float]) -> Sheet:
    sheet = Sheet(700, 300)
    for kind, x, y in lines:
        sheet.write(kind, [(x, letters(400, int(y)))], y)
    return sheet


def page_of(sheet: Sheet) -> Page:
    return Page(255 - sheet.ink, tuple(sheet.lines), tuple(sheet.gaps), 40.0, "test")


def bent(page: Page, seed: int) -> Page:
    warp = Warp.drawn(np.random.default_rng(seed), *page.grey.shape[::-1], lean=1.0, bend=5.0)
    lines = tuple(line.changed(warp.moved) for line in page.lines)
    return Page(warp.bent(page.grey, 255), lines, page.gaps, page.pitch, page.layout)


def dark(grey: Bytes) -> Bytes:
    return np.asarray(grey < 128, np.uint8)


def band_of(line: TrueLine, shape: tuple[int, ...], reach: int) -> Bytes:
    mask = np.zeros(shape, np.uint8)
    for piece in line.pieces:
        corners = np.concatenate([piece.top, piece.bottom[::-1]]).round().astype(np.int32)
        cv2.fillPoly(mask, [corners], 1)
    return np.asarray(cv2.dilate(mask, np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)), np.uint8)


@lru_cache(maxsize=1)
def real_material() -> Material:
    if not (DATA / "fonts_text").is_dir():
        pytest.skip("the fonts and texts that pages are composed of are not beside the checkout")
    return Material.of(DATA, fonts=Path("/nonexistent"))


def test_a_strip_has_the_common_body_and_its_centre_in_the_middle_of_its_ink() -> None:
    strip = letters(300, height=60)
    assert strip.body == BODY
    profile = strip.ink.sum(axis=1, dtype=np.float64).cumsum() / strip.ink.sum(dtype=np.float64)
    low, middle, high = (float(np.interp(share, profile, np.arange(1, len(profile) + 1))) for share in (0.1, 0.5, 0.9))
    assert high - low == pytest.approx(BODY, abs=1.0)
    assert float(strip.centre.mean()) == pytest.approx(middle, abs=0.6)
    assert strip.above > 0
    assert strip.below > 0


def test_the_centre_of_a_curved_picture_is_followed() -> None:
    rng = np.random.default_rng(2)
    ink = np.zeros((80, 1600), np.uint8)
    for x in range(0, 1590, 10):
        y = 30 + round(4 * (x / 1600) ** 2) + int(rng.integers(0, 3))
        ink[y : y + 20, x : x + 5] = 255
    strip = measured(ink, straight=False)
    assert strip
    assert strip.centre[-1] - strip.centre[0] == pytest.approx(4 * BODY / 16, abs=1.2)


def test_a_picture_of_two_lines_is_no_strip_to_compose_from() -> None:
    ink = np.zeros((120, 900), np.uint8)
    ink[10:40, 0:450:8] = 255
    ink[80:110, 450:900:8] = 255
    assert measured(ink, straight=False) is None


def test_strips_are_joined_on_one_centre() -> None:
    first, second = letters(100, 1), letters(120, 2, height=40)
    whole = joined([first, second], 12)
    assert whole.width == first.width + 12 + second.width
    assert np.ptp(whole.centre) < 1.5
    for strip, x in ((first, 0), (second, first.width + 12)):
        y = round(float(whole.centre[x]) - float(strip.centre[0]))
        assert (whole.ink[y : y + len(strip.ink), x : x + strip.width] == strip.ink).all()


def test_a_wide_gap_parts_a_line_into_pieces() -> None:
    sheet = Sheet(700, 100)
    sheet.write(Kind.MAIN, [(10.0, letters(150)), (450.0, letters(150, 1))], 50)
    assert len(sheet.lines) == 1
    assert len(sheet.lines[0].pieces) == 2
    core = targets(page_of(sheet)).core
    assert not core[:, 330 // STRIDE : 430 // STRIDE].any()
    assert (core[25] == MAIN).sum() > 80


@pytest.mark.parametrize("seed", range(4))
def test_cores_lie_within_the_ink_of_their_lines_after_bending(seed: int) -> None:
    page = bent(page_of(sheet_of((Kind.MAIN, 100, 80), (Kind.MAIN, 140, 140), (Kind.NOTE, 90, 220))), seed)
    core = targets(page).core
    assert core.any()
    for line in page.lines:
        band = band_of(line, page.grey.shape, 1)
        ink = dark(page.grey) * band
        assert ink.sum() > 0.95 * (dark(page.grey) * band_of(line, page.grey.shape, 4)).sum()
    within = np.maximum.reduce([band_of(line, page.grey.shape, 2) for line in page.lines])
    rows, columns = np.nonzero(core)
    assert within[rows * STRIDE, np.minimum(columns * STRIDE, 699)].all()


@pytest.mark.parametrize("kind", list(Kind))
def test_kinds_are_right_after_bending_and_shrinking(kind: Kind) -> None:
    page = shrunk(bent(page_of(sheet_of((kind, 120, 100), (Kind.MAIN, 150, 200))), 5), 0.6)
    core = targets(page).core
    for line in page.lines:
        points = (np.concatenate([piece.centre for piece in line.pieces]) / STRIDE).round().astype(int)
        seen = core[points[1:-1, 1], points[1:-1, 0]]
        assert (seen == LABELS[line.kind]).mean() > 0.9


def test_offsets_reach_the_top_and_the_bottom_of_the_line() -> None:
    page = page_of(sheet_of((Kind.MAIN, 100, 100)))
    maps = targets(page)
    rows, columns = np.nonzero(maps.core)
    y = rows * STRIDE + STRIDE / 2
    top = y - (maps.top[rows, columns].astype(float) - 1) / QUARTERS
    bottom = y + (maps.bottom[rows, columns].astype(float) - 1) / QUARTERS
    inked = np.flatnonzero(dark(page.grey).any(axis=1))
    assert np.abs(top - inked[0]).max() < 2.5
    assert np.abs(bottom - inked[-1]).max() < 2.5
    assert not maps.top[maps.core == 0].any()


def test_gaps_are_marked_where_they_are() -> None:
    sheet = sheet_of((Kind.MAIN, 100, 100))
    sheet.gap(550, 50, 600, 250)
    maps = targets(page_of(sheet))
    assert maps.gap[60, 575 // STRIDE]
    assert not maps.gap[60, 500 // STRIDE]


def test_upright_lines_have_a_core_and_no_offsets() -> None:
    sheet = Sheet(200, 400)
    sheet.write(Kind.MARGIN, [(40.0, letters(300))], 60, upright=True)
    maps = targets(page_of(sheet))
    rows, columns = np.nonzero(maps.core)
    assert np.ptp(rows) > 120
    assert np.ptp(columns) < 8
    assert not maps.top.any()


def test_main_text_is_not_hidden_by_other_text() -> None:
    maps = targets(page_of(sheet_of((Kind.MAIN, 100, 100), (Kind.NOTE, 100, 100))))
    assert set(np.unique(maps.core)) == {0, MAIN}


def test_a_warp_moves_points_to_where_their_pixels_go() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        warp = Warp.drawn(rng, 1200, 300, lean=1.5, bend=8.0)
        points = rng.uniform((0, 0), (1200, 300), (50, 2)).astype(np.float32)
        moved = warp.moved(points).astype(np.float64)
        back = np.column_stack(warp.sources(moved[:, 0], moved[:, 1]))
        assert np.abs(back - points).max() < 0.05


def test_a_page_on_its_side_has_no_level_lines() -> None:
    page = on_its_side(page_of(sheet_of((Kind.MAIN, 100, 100))), clockwise=True)
    assert page.grey.shape == (700, 300)
    assert not page.lines


def test_crops_hold_the_same_place_of_picture_and_maps() -> None:
    page = page_of(sheet_of((Kind.MAIN, 100, 60), (Kind.MAIN, 100, 120), (Kind.OTHER, 100, 180)))
    for grey, maps in crops(np.random.default_rng(1), page, CROPS["wide"], 3):
        assert grey.shape == CROPS["wide"]
        assert maps.core.shape == (CROPS["wide"][0] // STRIDE, CROPS["wide"][1] // STRIDE)
        near = cv2.dilate(dark(grey), np.ones((3, 15), np.uint8))[::STRIDE, ::STRIDE]
        assert near[maps.core > 0].mean() > 0.95
        assert (packed(maps)[0] & 3 == maps.core).all()


@pytest.mark.parametrize("layout", [block_print, stacked])
def test_a_worn_leaf_keeps_its_lines_on_its_ink(layout: Layout) -> None:
    material = real_material()
    rng = np.random.default_rng(11)
    sheet = layout(rng, material)
    page = worn(rng, sheet, "leaf", 36.0)
    assert sum(line.kind is Kind.MAIN for line in page.lines) >= 2
    assert len(page.lines) <= len(sheet.lines)
    height, width = page.grey.shape
    points = np.concatenate([piece.centre for line in page.lines for piece in line.pieces])
    assert (points > -0.2 * height).all()
    assert (points[:, 0] < 1.2 * width).all()


def test_the_same_seed_and_number_make_the_same_page() -> None:
    material = real_material()
    first, again = composed(5, 3, material), composed(5, 3, replace(material, loaded={}))
    assert (first.grey == again.grey).all()
    assert [line.kind for line in first.lines] == [line.kind for line in again.lines]
    assert first.grey.shape != composed(5, 4, material).grey.shape


def test_fonts_write_lines_of_the_width_that_is_asked_for() -> None:
    hand = real_material().print(np.random.default_rng(1))
    assert isinstance(hand, FontHand)
    widths = [hand.line(np.random.default_rng(seed), 700).width for seed in range(4)]
    assert all(560 <= width <= 700 for width in widths)


def test_lines_of_real_pictures_are_cut_from_one_source() -> None:
    material = real_material()
    if not material.groups:
        pytest.skip("the line pictures are not beside the checkout")
    hand = next(hand for group in material.groups if (hand := PictureHand(group, {})).usable())
    strip = hand.line(np.random.default_rng(1), 500)
    assert 300 <= strip.width <= 500
    assert len({path.name[:4] for path in hand.strips}) == 1


@pytest.mark.parametrize("paper", [255, 200])
def test_ink_is_measured_against_the_paper_of_its_picture(paper: int) -> None:
    grey = np.full((20, 60), paper, np.uint8)
    grey[:10, 30:] = paper - 12
    grey[8:12, 10:50] = 40
    ink = _ink_of(grey)
    assert (ink[9, 10:50] == 255).all()
    assert ink[14:].max() == 0
    assert ink[:7].max() == 0


def test_a_picture_with_a_rule_of_its_frame_is_no_line(tmp_path: Path) -> None:
    grey = np.full((40, 300), 255, np.uint8)
    for left in range(10, 290, 20):
        grey[14:30, left : left + 10] = 0
    for name, ruled in (("line.jpg", False), ("ruled.jpg", True)):
        if ruled:
            grey[2:4, 5:295] = 0
        cv2.imwrite(str(tmp_path / name), grey)
        assert (_picture(tmp_path / name) is None) == ruled


def test_what_faded_or_was_covered_is_no_line_any_more() -> None:
    sheet = sheet_of((Kind.MAIN, 100, 80), (Kind.MAIN, 100, 200))
    grey = 230 - sheet.ink // 2
    grey[:, 300:420] = 40
    grey[180:220] = 230
    seen = contrast(grey, sheet.ink)
    upper, lower = (still_seen(line, seen) for line in sheet.lines)
    assert lower is None
    assert upper is not None
    assert len(upper.pieces) == 2
    assert upper.pieces[0].centre[-1, 0] == pytest.approx(300, abs=24)
    assert upper.pieces[1].centre[0, 0] == pytest.approx(420, abs=24)


def test_faint_ink_and_white_ink_are_seen() -> None:
    sheet = sheet_of((Kind.MAIN, 100, 80))
    noise = np.random.default_rng(1).normal(0, 12, sheet.ink.shape)
    for strength in (-0.08, 0.7):
        grey = np.clip(120 + noise + strength * sheet.ink, 0, 255).astype(np.uint8)
        assert still_seen(sheet.lines[0], contrast(grey, sheet.ink)) == sheet.lines[0]


def test_a_trimmed_page_ends_beside_its_outermost_lines() -> None:
    page = page_of(sheet_of((Kind.RUNNING, 120, 60), (Kind.MAIN, 100, 120), (Kind.MAIN, 100, 180)))
    for seed in range(6):
        cut = trimmed(np.random.default_rng(seed), page)
        assert dark(cut.grey).sum() > 0.98 * dark(page.grey).sum()
        shown = np.maximum.reduce([band_of(line, cut.grey.shape, 2) for line in cut.lines])
        assert (dark(cut.grey) * shown).sum() > 0.98 * dark(cut.grey).sum()
    assert min(trimmed(np.random.default_rng(seed), page).grey.size for seed in range(6)) < 0.5 * page.grey.size
    blank = replace(page, lines=())
    assert trimmed(np.random.default_rng(1), blank) is blank


def test_crops_reach_the_edges_of_a_page_often() -> None:
    page = Page(np.zeros((800, 1400), np.uint8), (), (), 24.0, "test")
    page.grey[:4] = page.grey[-4:] = page.grey[:, :4] = page.grey[:, -4:] = 255
    cut = [grey for grey, _ in crops(np.random.default_rng(1), page, CROPS["wide"], 600)]
    for edge in (np.s_[0, 100:-100], np.s_[-1, 100:-100], np.s_[100:-100, 0], np.s_[100:-100, -1]):
        assert np.mean([grey[edge].all() for grey in cut]) > 0.1


def test_a_sheet_is_laid_on_another_with_its_lines_and_gaps() -> None:
    whole, part = Sheet(900, 500), sheet_of((Kind.MAIN, 100, 100))
    part.gap(550, 50, 600, 250)
    whole.add(part, 150, 200)
    assert (whole.ink[200:, 150:850] == part.ink).all()
    assert whole.lines[0].pieces[0].centre[0] == pytest.approx(part.lines[0].pieces[0].centre[0] + (150, 200))
    assert whole.gaps[0][0] == pytest.approx(part.gaps[0][0] + (150, 200))


def test_lines_end_where_a_sheet_is_cut() -> None:
    sheet = sheet_of((Kind.MAIN, 100, 100), (Kind.NOTE, 280, 200))
    sheet.spine = 300.0
    part = sheet.cut(80, 250)
    assert part.ink.shape == (300, 170)
    assert (part.ink == sheet.ink[:, 80:250]).all()
    assert [line.kind for line in part.lines] == [Kind.MAIN]
    columns = part.lines[0].pieces[0].centre[:, 0]
    assert columns[0] == pytest.approx(20, abs=3)
    assert 150 < columns[-1] < 170
    assert part.spine == 220.0


def test_no_line_of_an_open_book_crosses_the_spine_and_slivers_are_no_main_text() -> None:
    material, cut_off, both = real_material(), 0, 0
    for seed in range(12):
        sheet = spread(np.random.default_rng(seed), material)
        assert sheet.spine is not None
        starts = [float(line.pieces[0].centre[0, 0]) for line in sheet.lines]
        stops = [float(line.pieces[-1].centre[-1, 0]) for line in sheet.lines]
        assert all((start < sheet.spine) == (stop < sheet.spine) for start, stop in zip(starts, stops, strict=True))
        sides = {start < sheet.spine for start, line in zip(starts, sheet.lines, strict=True) if line.kind is Kind.MAIN}
        whole = max(sheet.spine, sheet.width - sheet.spine)
        shown = min(sheet.spine, sheet.width - sheet.spine) / whole
        cut_off += len(sides) == 1
        both += len(sides) == 2
        assert len(sides) == 2 or shown < LEAST_OF_A_PAGE + 0.25
        assert len(sheet.gaps) == 1 or len(sides) == 1
    assert cut_off > 1
    assert both > 1


def test_all_blocks_of_a_poem_are_main_text() -> None:
    sheet = poem(np.random.default_rng(3), real_material())
    inside = [line.kind for line in sheet.lines if line.kind is not Kind.RUNNING]
    assert len(inside) >= 4
    assert set(inside) == {Kind.MAIN}
    assert sheet.ink.shape == (sheet.height, sheet.width)


def test_string_holes_stand_in_the_way_of_rows() -> None:
    leaf = Leaf(100.0, 50.0, 1100.0, 6, 36.0)
    counts = set()
    for seed in range(12):
        blocked = holes(np.random.default_rng(seed), Sheet(1200, 320), leaf)
        counts.add(len(blocked))
        for (left, right), (top, bottom) in blocked:
            assert leaf.left < left < right < leaf.right
            assert top < (leaf.top + leaf.bottom) / 2 < bottom
    assert counts == {1, 2}


@pytest.mark.parametrize("bitonal", [False, True])
def test_what_shines_through_is_paler_than_the_ink_and_no_line(bitonal: bool) -> None:  # noqa: FBT001
    front, back = sheet_of((Kind.MAIN, 100, 60)), sheet_of((Kind.MAIN, 100, 200))
    medium = Medium(bitonal=bitonal, worn=0.0, photo=False, ground=255)
    paper = np.full(front.ink.shape, 0.9, np.float32)
    ink = (front.ink / 255).astype(np.float32)
    shown = 0
    for seed in range(30):
        rng = np.random.default_rng(seed)
        grey = scanned(rng, ink, paper, medium, repeated(back.ink, *front.ink.shape)).astype(np.float32)
        grey = 255 - grey if grey[0, 0] < 128 else grey
        text, blank = float(grey[ink > 0.9].min()), grey[ink == 0]
        assert blank.min() > text
        shown += blank.min() < 0.9 * 255 - 8
    assert shown > 15


def test_another_page_is_repeated_or_cut_to_the_size_of_this_one() -> None:
    ink = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert repeated(ink, 5, 3).shape == (5, 3)
    assert repeated(ink, 5, 3)[4, 2] == pytest.approx(6 / 255)


def test_paper_is_darkest_at_the_spine() -> None:
    base = np.full((20, 400), 0.8, np.float32)
    for seed in range(5):
        dark_at = bound(np.random.default_rng(seed), base, 150.0).mean(axis=0)
        assert int(dark_at.argmin()) == pytest.approx(150, abs=4)
        assert dark_at[399] > 0.75
