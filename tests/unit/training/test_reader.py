"""Composed lines: what is drawn and what is said of it agree; the language model that is counted from their texts."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from bec_orch.jobs.ocrv1.decoding.language import BITS, LanguageModel
from bec_orch.jobs.ocrv1.engines.bec_input import HEIGHT
from training.reader.judge import Tried, rate, spread_of, table_of
from training.reader.language import model_of
from training.reader.material import HELD_OUT, fonts_in, texts_in
from training.reader.picture import Composer, _carved, _is_seen
from training.reader.setting import LETTER, ROOM_FOR_NUMBER, Face, Style
from training.reader.symbols import SYMBOLS, numbers_of, written
from training.reader.writing import KINDS, LEADER, Writing, made_stack, plain, stacks_of
from training.shared import DATA, Bytes

FONTS = DATA / "fonts_text" / "fonts"
TEXT = "སངས་རྒྱས་དང་། བྱང་ཆུབ་སེམས་དཔའ་ཐམས་ཅད་ལ་ཕྱག་འཚལ་ལོ། །འདི་སྐད་བདག་གིས་ཐོས་པ་དུས་གཅིག་ན། "
needs_fonts = pytest.mark.skipif(not FONTS.is_dir(), reason="no fonts in ../shared/data")


@lru_cache
def face() -> Face:
    return Face(FONTS / "DDC_Uchen.ttf")


@lru_cache
def writing() -> Writing:
    text = written(TEXT * 40)
    words = sorted({word for word in text.replace("།", "་").replace(" ", "").split("་") if word})
    return Writing([text], words, sorted({stack for word in words for stack in stacks_of(word)}))


def style(**changed: float) -> Style:
    usual = {"closeness": 1.0, "tsheg": 1.0, "lost": 0.0, "space": 1.0, "uneven": 0.0, "small": 0.0}
    return Style(face(), jitter=(0.0, 0.0), **(usual | changed))


def set_line(text: str, width: int = 1200, **changed: float) -> tuple[Bytes, str]:
    canvas = np.zeros((160, width), np.uint8)
    said = style(**changed).set_line(np.random.default_rng(1), stacks_of(text), canvas, 10, width - 10, 60)
    return canvas, said


def test_a_text_is_written_in_the_symbols_that_look_like_it() -> None:
    assert written("དང༌།  ནུས༎\n") == "དང་། ནུས།། "
    assert written("abc སྤུྲ(1)") == " སྤྲུ1"
    assert [SYMBOLS[number - 1] for number in numbers_of(written(TEXT))] == list(written(TEXT))
    assert len(set(SYMBOLS)) == len(SYMBOLS) < 2**BITS - 1


def test_texts_of_books_lose_the_marks_of_their_pages() -> None:
    assert plain("[1a]\n[1a.1]{D94}༄༅། །ཀ་\n[1a.2]ཁ། \n") == "༄༅། །ཀ་ཁ། "


def test_a_stack_holds_all_that_stands_above_and_below_its_letter() -> None:
    assert stacks_of("བསྒྲུབས་ཧཱུྃ། ༡") == ["བ", "སྒྲུ", "བ", "ས", "་", "ཧཱུྃ", "།", " ", "༡"]
    rng = np.random.default_rng(1)
    for _ in range(200):
        stack = made_stack(rng)
        assert stacks_of(stack) == [stack]
        assert written(stack) == stack


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_line_is_of_known_symbols_and_begins_with_no_space(kind: str) -> None:
    for seed in range(20):
        stacks = writing().line(np.random.default_rng(seed), 30, kind)
        line = "".join(stacks)
        assert len(stacks) <= 30
        assert written(line) == line
        assert line[0] != " "


def test_half_of_the_lines_are_runs_of_text() -> None:
    texts = ["".join(writing().line(np.random.default_rng(seed), 10)) for seed in range(300)]
    assert 0.3 < np.mean([text in writing().texts[0] for text in texts]) < 0.65


@needs_fonts
def test_letters_hang_from_the_head_line_at_one_size() -> None:
    for path in fonts_in([FONTS]):
        glyph = Face(path).glyph("པ")
        assert glyph
        rows = np.flatnonzero((glyph.ink > 128).any(axis=1)) + glyph.top
        assert rows[0] == pytest.approx(0, abs=3)
        assert rows[-1] - rows[0] == pytest.approx(LETTER, abs=5)


@needs_fonts
def test_what_a_font_cannot_shape_is_left_out_of_ink_and_text() -> None:
    canvas, said = set_line("ཀ\u0ff0ཁ")
    assert said == "ཀཁ"
    assert np.array_equal(canvas, set_line("ཀཁ")[0])


@needs_fonts
def test_a_line_ends_before_its_end_and_says_what_it_holds() -> None:
    canvas, said = set_line(TEXT, width=500)
    assert 10 < len(said) < len(TEXT)
    assert TEXT.startswith(said)
    assert not canvas[:, -10:].any()
    longer, _ = set_line(said, width=1200)
    assert (longer[:, :490] == canvas[:, :490]).all()


@needs_fonts
def test_a_lost_tsheg_is_said_and_not_drawn() -> None:
    canvas, said = set_line("ཀ་ཀ་ཀ", lost=1.0)
    assert said == "ཀ་ཀ་ཀ"
    assert cv2.connectedComponents((canvas > 128).astype(np.uint8))[0] - 1 == 3
    with_them, _ = set_line("ཀ་ཀ་ཀ")
    assert cv2.connectedComponents((with_them > 128).astype(np.uint8))[0] - 1 == 5


@needs_fonts
def test_a_leader_is_a_row_of_dots_up_to_the_number_and_a_space_in_the_text() -> None:
    canvas, said = set_line(f"ཀ{LEADER}(༢༡)", width=900)
    assert said == "ཀ ༢༡"
    columns = np.flatnonzero((canvas > 128).any(axis=0))
    assert cv2.connectedComponents((canvas > 128).astype(np.uint8))[0] - 1 > 8
    assert 900 - columns[-1] < ROOM_FOR_NUMBER[1] * LETTER


def test_some_lines_are_entries_of_a_table_of_contents() -> None:
    lines = ["".join(writing().line(np.random.default_rng(seed), 30)) for seed in range(1000)]
    entries = [line for line in lines if LEADER in line]
    assert 10 < len(entries) < 60
    assert sum(line[-1] in "0123456789༠༡༢༣༤༥༦༧༨༩)]" for line in entries) > len(entries) / 2
    assert not any(LEADER in "".join(writing().line(np.random.default_rng(seed), 30, "text")) for seed in range(300))


@needs_fonts
def test_close_letters_take_less_room() -> None:
    wide, close = (np.flatnonzero(set_line("བསམཔ", closeness=each)[0].any(axis=0))[-1] for each in (1.0, 0.8))
    assert close < wide - 10


@needs_fonts
def test_a_picture_is_the_same_again_and_as_large_as_was_asked() -> None:
    composer = Composer(writing(), [face()])
    one, again, other = (composer.picture(np.random.default_rng(seed), 320) for seed in (1, 1, 2))
    assert one.grey.shape == (HEIGHT, 320)
    assert np.array_equal(one.grey, again.grey)
    assert one.text == again.text
    assert not np.array_equal(one.grey, other.grey)


@needs_fonts
def test_what_cannot_be_read_is_not_trained_on() -> None:
    own, _ = set_line(TEXT)
    own = own[:, :1000]
    clear = 255 - own
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 255, own.shape).astype(np.uint8)
    half = clear.copy()
    half[:, 600:] = 250
    blot = np.where(cv2.dilate(own, np.ones((25, 25), np.uint8)) > 60, 0, 255).astype(np.uint8)
    soft = np.asarray(cv2.GaussianBlur(clear, (0, 0), 1.5), np.uint8)
    assert _is_seen(clear, own, own)
    assert _is_seen(soft, own, own)
    assert not _is_seen(noise, own, own)
    assert not _is_seen(blot, own, own)
    assert not _is_seen(half, own, own)


def test_vowels_letters_and_subscripts_are_carved_each_at_its_own_height_and_vowels_lean() -> None:
    rows, head = np.arange(160.0), 60.0
    as_set, leans, heights = 0, [], []
    for seed in range(60):
        taken, shift = _carved(np.random.default_rng(seed), rows, head)
        assert (np.diff(taken) > 0).all()
        assert taken[60] == pytest.approx(head)
        assert not shift[60:].any()
        as_set += np.array_equal(taken, rows.astype(np.float32))
        leans.append(shift[20])
        heights.append(taken[60] - taken[20])
    assert 6 < as_set < 30
    assert np.std(heights) > 5
    assert min(leans) < -5 < 5 < max(leans)


@needs_fonts
def test_fonts_to_judge_by_are_those_that_are_held_out() -> None:
    names = [path.name.lower() for path in fonts_in([FONTS])]
    assert any(held in name for held in HELD_OUT for name in names)
    assert not any("bzdmt" in name or "yigchung" in name for name in names)


def test_texts_to_judge_by_are_not_counted(tmp_path: Path) -> None:
    folder = tmp_path / "fonts_text" / "kangyur"
    folder.mkdir(parents=True)
    for name in "abcdefg":
        (folder / f"{name}.txt").touch()
    counted, judged = texts_in(tmp_path)
    assert ([path.stem for path in counted], [path.stem for path in judged]) == (list("bcef"), list("adg"))


def test_what_a_text_says_often_is_likelier_than_what_it_says_once(tmp_path: Path) -> None:
    model = saved(tmp_path / "lm.npz", [written("བོད་ཡིག་" * 30 + "བོད་སྐད་")], order=5)
    context = 0
    for symbol in numbers_of(written("བོད་")):
        _, context = model.after(context, symbol)
    often, once, never = (model.after(context, numbers_of(letter)[0])[0] for letter in "ཡསཀ")
    assert often > -0.1
    assert -6 < once < -2
    assert never < once


def test_cursive_fonts_are_distinguished_from_block_letters_by_their_names(tmp_path: Path) -> None:
    for name in ("Monlam Uni TikTong.ttf", "Monlam Uni OuChan1.ttf", "noto-serif-tibetan-100-normal.woff", "Arial.ttf"):
        (tmp_path / name).touch()
    assert [path.stem for path in fonts_in([tmp_path])] == ["Monlam Uni OuChan1"]
    assert [path.stem for path in fonts_in([tmp_path], cursive=True)] == ["Monlam Uni TikTong"]


def saved(path: Path, texts: list[str], order: int = 3) -> LanguageModel:
    np.savez_compressed(path, allow_pickle=False, **model_of(texts, order))
    return LanguageModel(path)


def test_the_language_model_has_seen_its_text(tmp_path: Path) -> None:
    model = saved(tmp_path / "lm.npz", [written("བོད་ཡིག་" * 30)])
    context = 0
    for symbol in numbers_of("བོད་"):
        _, context = model.after(context, symbol)
    expected, other = (model.after(context, numbers_of(letter)[0])[0] for letter in "ཡཀ")
    assert expected > -0.3
    assert other < -4
    # Of all symbols that may follow, the chances are those of one event.
    total = sum(np.exp(model.after(context, number)[0]) for number in range(1, len(SYMBOLS) + 1))
    assert 0.8 < total < 1.1


def test_chances_of_a_context_that_was_never_seen_are_those_of_the_last_symbols(tmp_path: Path) -> None:
    model = saved(tmp_path / "lm.npz", [written("བོད་ཡིག་" * 30)])
    (known,), (strange,), (last,) = map(numbers_of, "བཀད")
    (_, after_strange), (_, after_known) = model.after(0, strange), model.after(0, known)
    assert model.after(after_strange, last) == model.after(0, last)
    assert model.after(model.after(after_strange, known)[1], last) == model.after(after_known, last)


def test_the_table_of_confidences_rises() -> None:
    def line(sure: float, text: str) -> Tried:
        chances = np.full((4, len(SYMBOLS) + 1), (1 - sure) / len(SYMBOLS), np.float32)
        chances[np.arange(4), [numbers_of("ཀ")[0], 0, numbers_of("ཁ")[0], 0]] = sure
        return Tried("text", text, chances)

    lines = [line(0.6, "གང"), line(0.7, "ཀང")] * 10 + [line(0.9, "ཀཁ")] * 10
    table = table_of(lines, lambda line: line.greedy)
    means, right = zip(*table, strict=True)
    assert list(means) == sorted(means)
    assert list(right) == sorted(right)
    assert table[0] == (0.0, 0.0)
    assert means[-1] == pytest.approx(0.9, abs=0.01)
    assert right[-1] == 1
    assert rate([("ཀ ཁ", "ཀཁ"), ("ཀ", "ཁ")]) == pytest.approx(1 / 3)
    assert spread_of(lines[:20], [(0.0, 0.0), (1.0, 1.0)]) == "0.60, 0.65, 0.70"
