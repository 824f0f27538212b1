"""Layouts of books, and of what holds no text: pages of many short lines, spreads, contents, columns, poems, blanks."""

from dataclasses import replace

import numpy as np

from training.lines.drawing import ornament, picture
from training.lines.kinds import BODY, Kind
from training.lines.material import Hand, Material
from training.lines.pecha import Leaf, chance, number, stamp
from training.lines.sheet import Sheet
from training.lines.strips import Strip

HEADING = 0.06, 0.12
"""Below the first share of the rows stand empty ones, up to the second headings in the middle."""
SHORT_ROWS = 0.22, 0.32
SHORTEST = 0.96
"""A paragraph's last row lacks at most this share of the width."""
DIALOGUE = 0.12
"""Share of the pages whose rows have every length."""
BOXED = 0.12
"""Share of the pages with a frame around the text."""
LEAST_OF_A_PAGE = 0.45
"""Of a neighbour page that is cut off, what is narrower than this share of it is no main text."""


def modern(rng: np.random.Generator, material: Material) -> Sheet:
    """A page of a Tibetan book."""
    return _page(rng, material, material.print(rng))


def western(rng: np.random.Generator, material: Material) -> Sheet:
    """A page in Latin script."""
    return _page(rng, material, material.western(rng), tight=0.85)


def eastern(rng: np.random.Generator, material: Material) -> Sheet:
    """A page in Chinese, in level lines."""
    return _page(rng, material, material.eastern(rng))


def columns(rng: np.random.Generator, material: Material) -> Sheet:
    """A page in two columns, or two pages beside each other."""
    hand = material.western(rng) if chance(rng, 0.4) else material.print(rng)
    lines, pitch = int(rng.integers(8, 26)), _pitch(rng) * (0.85 if chance(rng, 0.3) else 1.0)
    wide, gap = rng.uniform(250, 520), float(np.exp(rng.uniform(*np.log([0.6, 5.0])))) * BODY
    margins = rng.uniform(20, 110, 2)
    sheet = Sheet(int(margins[0] + 2 * wide + gap + margins[1]), int(pitch * lines + rng.uniform(90, 260)))
    top = rng.uniform(30, 100)
    shift = rng.choice([0.0, 0.0, 0.5]) * pitch
    leaves = []
    for column in range(2):
        left = margins[0] + column * (wide + gap)
        rows = lines if column == 0 else int(lines * rng.choice([1.0, 1.0, rng.uniform(0.3, 1)]))
        leaves.append(Leaf(float(left), float(top + column * shift), float(left + wide), max(rows, 1), float(pitch)))
        _body(rng, material, sheet, leaves[-1], hand)
    sheet.gap(leaves[0].right + 3, top, leaves[1].left - 3, leaves[1].bottom)
    if chance(rng, 0.7 if gap < 1.5 * BODY else 0.4):
        middle = leaves[0].right + gap / 2
        sheet.rule((middle, top), (middle, top + lines * pitch), int(rng.integers(1, 3 if gap < 1.5 * BODY else 4)))
    _heads(rng, material, sheet, Leaf(leaves[0].left, float(top), leaves[1].right, lines, float(pitch)), hand)
    return sheet


def spread(rng: np.random.Generator, material: Material) -> Sheet:
    """Two pages of an open book, one of them whole or cut off: lines end at the spine."""
    hand = material.western(rng) if chance(rng, 0.4) else material.print(rng)
    leaf, first = _leaf(rng, int(rng.integers(6, 27)), 0.85 if chance(rng, 0.3) else 1.0)
    boxed = BOXED if chance(rng, 0.6) else 1.0
    pages = [
        _filled(rng, material, sheet, leaf, hand, boxed=boxed) for sheet in (first, Sheet(first.width, first.height))
    ]
    shown, cut = 1.0 if chance(rng, 0.4) else float(rng.uniform(0, 1)), int(rng.integers(2))
    if shown < LEAST_OF_A_PAGE:
        pages[cut].lines[:] = [replace(line, kind=Kind.OTHER) for line in pages[cut].lines]
    inner = first.width - leaf.right + leaf.left
    away = first.width - int(rng.uniform(0, 1) * max(0.0, inner - 1.6 * BODY))
    whole = Sheet(away + first.width, first.height, spine=(leaf.right + leaf.left + away) / 2)
    for place, page in enumerate(pages):
        whole.add(page, place * away, place * int(rng.uniform(-0.6, 0.6) * leaf.pitch))
    if shown * first.width > leaf.pitch:
        whole.gap(leaf.right + 3, leaf.top, leaf.left + away - 3, leaf.bottom)
    if cut == 0:
        return whole.cut(int(leaf.right * (1 - shown)), whole.width)
    return whole.cut(0, away + int(leaf.left + shown * (first.width - leaf.left)))


def poem(rng: np.random.Generator, material: Material) -> Sheet:
    """Verses and their translation below or above them, in another script and size: all of it is main text."""
    width, top = rng.uniform(420, 950), rng.uniform(50, 160)
    hands: list[Hand] = [material.print(rng), material.eastern(rng) if chance(rng, 0.6) else material.western(rng)]
    hands = hands * int(rng.integers(1, 3)) if chance(rng, 0.7) else hands[::-1]
    sheet, y = Sheet(int(width), int(top + len(hands) * 11 * 2.3 * BODY + 140)), top
    left, leading = rng.uniform(0.05, 0.3) * width, rng.uniform(1.6, 2.2)
    for hand in hands:
        size, centred = float(rng.uniform(0.75, 1.25)), chance(rng, 0.5)
        for _ in range(int(rng.integers(2, 9))):
            strip = hand.line(rng, int((width - 2 * left) * rng.uniform(0.4, 1.0) / size)).resized(size)
            sheet.write(Kind.MAIN, [((width - strip.width) / 2 if centred else left, strip)], y)
            y += leading * BODY * size
        y += rng.uniform(0.3, 3.0) * BODY
    sheet.ink = sheet.ink[: int(y + rng.uniform(60, 200))].copy()
    sheet.height = len(sheet.ink)
    _heads(rng, material, sheet, Leaf(float(left), float(top), float(width - left), 1, float(y - top)), hands[0])
    return sheet


def contents(rng: np.random.Generator, material: Material) -> Sheet:
    """A table of contents: rows that end in dots and a number."""
    hand = material.print(rng) if chance(rng, 0.75) else material.western(rng)
    leaf, sheet = _leaf(rng, int(rng.integers(8, 25)), 1.0)
    dotted = chance(rng, 0.75)
    latin = chance(rng, 0.6)
    numerals = material.western(rng) if latin else material.print(rng)
    for row in range(leaf.lines):
        indent = rng.choice([0, 0, 1, 2]) * BODY
        numeral = numerals.words(number(rng, latin=float(latin)))
        room = leaf.right - leaf.left - indent - numeral.width - 8
        strip = hand.line(rng, int(room * rng.uniform(0.2, 0.98)))
        y, x = leaf.row(row), leaf.left + indent
        end = leaf.right - numeral.width
        parts = [(x, strip), (end, numeral)]
        if dotted:
            step = int(rng.integers(5, 14))
            for at in range(int(x + strip.width + 8), int(end - 6), step):
                sheet.box(at, y + 5, at + 1, y + 6, 1 + step // 8)
        sheet.write(Kind.MAIN, parts, y)
    _heads(rng, material, sheet, leaf, hand)
    return sheet


def title_page(rng: np.random.Generator, material: Material) -> Sheet:
    """A book's title page: a few lines of several sizes, in the middle."""
    width, height = int(rng.uniform(450, 900)), int(rng.uniform(500, 1100))
    sheet = Sheet(width, height)
    y = rng.uniform(0.08, 0.4) * height
    while y < 0.9 * height and chance(rng, 0.9):
        hand = (
            material.print(rng)
            if chance(rng, 0.7)
            else material.western(rng)
            if chance(rng, 0.6)
            else material.eastern(rng)
        )
        size = float(rng.choice([0.8, 1.0, 1.3, 1.8]))
        strip = hand.line(rng, int(width * rng.uniform(0.2, 0.8) / size)).resized(size)
        sheet.write(Kind.MAIN, [((width - strip.width) / 2, strip)], y)
        y += BODY * size * rng.uniform(1.8, 6.0)
    if chance(rng, 0.4):
        size = int(rng.uniform(40, 140))
        sheet.clear(width / 2 - size, height - size - 30, width / 2 + size, height - 30)
        keep = [line for line in sheet.lines if line.pieces[0].centre[0, 1] < height - size - 50]
        sheet.lines[:] = keep
        sheet.ink[height - size - 50 :] = 0
        sheet.paste(picture(rng, size, size), (width - size) // 2, height - size - 30)
    if chance(rng, 0.3):
        band = ornament(rng, int(width * 0.8), int(rng.integers(12, 30)))
        sheet.paste(band, int(width * 0.1), int(0.02 * height))
    if chance(rng, 0.3):
        stamp(rng, material, sheet, rng.uniform(0, 0.7) * width, 0.93 * height)
    return sheet


def plate(rng: np.random.Generator, material: Material) -> Sheet:
    """A picture over the whole page, with a caption or without."""
    width, height = int(rng.uniform(400, 1100)), int(rng.uniform(300, 900))
    sheet = Sheet(width, height)
    pad = int(rng.uniform(10, 60))
    sheet.paste(picture(rng, width - 2 * pad, height - 2 * pad - 60), pad, pad)
    for row in range(int(rng.integers(0, 3))):
        hand = material.print(rng) if chance(rng, 0.6) else material.western(rng)
        strip = hand.line(rng, int(width * rng.uniform(0.3, 0.8)))
        sheet.write(Kind.OTHER, [((width - strip.width) / 2, strip)], height - pad - 40 + row * 40)
    return sheet


def blank(rng: np.random.Generator, material: Material) -> Sheet:
    """A page without text: a frame, a stamp, or nothing at all."""
    width, height = int(rng.uniform(400, 2000)), int(rng.uniform(250, 900))
    sheet = Sheet(width, height)
    if chance(rng, 0.3):
        pad = rng.uniform(20, 100)
        sheet.box(pad, pad, width - pad, height - pad, int(rng.integers(1, 6)))
    if chance(rng, 0.3):
        stamp(rng, material, sheet, rng.uniform(0, 0.8) * width, rng.uniform(0, 0.8) * height)
    if chance(rng, 0.2):
        strip = material.western(rng).words(number(rng, latin=1.0))
        sheet.write(Kind.RUNNING, [(rng.choice([0.05, 0.5, 0.9]) * width, strip)], rng.choice([0.07, 0.93]) * height)
    return sheet


def upright_columns(rng: np.random.Generator, material: Material) -> Sheet:
    """Chinese in upright columns: no level line is on it."""
    sheet = Sheet(int(rng.uniform(400, 900)), int(rng.uniform(400, 800)))
    hand, pitch = material.eastern(rng), rng.uniform(1.5, 2.4) * BODY
    glyphs = hand.line(rng, 3000)
    cells = [glyphs.cut(start, end).ink for start, end in glyphs.spans(blank=1.0)]
    x = rng.uniform(20, 60)
    while x < sheet.width - 60 and cells:
        y = rng.uniform(20, 60)
        while y < sheet.height - 60:
            cell = cells[int(rng.integers(len(cells)))]
            sheet.paste(cell, int(x), int(y))
            y += max(cell.shape[0], BODY) + 3
        if chance(rng, 0.6):
            sheet.rule((x - 10, 10), (x - 10, sheet.height - 10), 1)
        x += pitch + 8
    return sheet


def _pitch(rng: np.random.Generator) -> float:
    return float(BODY * rng.uniform(1.6, 2.6))


def _leaf(rng: np.random.Generator, lines: int, tight: float) -> tuple[Leaf, Sheet]:
    pitch = _pitch(rng) * tight
    wide = rng.uniform(420, 1000)
    margins = rng.uniform(16, 130, 4) * (0.2 if chance(rng, 0.2) else 1.0)
    top = margins[0] + 60
    leaf = Leaf(float(margins[1]), float(top), float(margins[1] + wide), lines, float(pitch))
    return leaf, Sheet(int(margins[1] + wide + margins[2]), int(leaf.bottom + 60 + margins[3]))


def _page(rng: np.random.Generator, material: Material, hand: Hand, *, tight: float = 1.0) -> Sheet:
    leaf, sheet = _leaf(rng, int(rng.integers(6, 27)), tight)
    return _filled(rng, material, sheet, leaf, hand, notes=0.2)


def _filled(
    rng: np.random.Generator,
    material: Material,
    sheet: Sheet,
    leaf: Leaf,
    hand: Hand,
    *,
    notes: float = 0.0,
    boxed: float = BOXED,
) -> Sheet:
    """Fill a page: a picture or none, text, footnotes, notes beside it in a share of the cases, a frame."""
    if chance(rng, 0.15):
        rows = max(2, leaf.lines // 3)
        high = leaf.lines * leaf.pitch - rows * leaf.pitch
        shown = picture(rng, int((leaf.right - leaf.left) * rng.uniform(0.5, 1)), int(max(high - 50, 30)))
        sheet.paste(shown, int(leaf.left), int(leaf.top))
        if chance(rng, 0.6):
            strip = material.print(rng).line(rng, int(0.6 * shown.shape[1])).resized(0.75)
            sheet.write(Kind.OTHER, [(leaf.left + (shown.shape[1] - strip.width) / 2, strip)], leaf.top + high - 26)
        leaf = Leaf(leaf.left, leaf.top + high, leaf.right, rows, leaf.pitch)
    body = _footnotes(rng, sheet, leaf, hand) if chance(rng, 0.2) else leaf
    _body(rng, material, sheet, body, hand)
    if chance(rng, notes):
        _side_notes(rng, sheet, body, hand)
    _heads(rng, material, sheet, leaf, hand)
    if chance(rng, boxed):
        sheet.box(leaf.left - 12, leaf.top - 12, leaf.right + 12, leaf.bottom + 12, int(rng.integers(1, 4)))
    return sheet


def _body(rng: np.random.Generator, material: Material, sheet: Sheet, leaf: Leaf, hand: Hand) -> None:
    """Write the rows: running text, paragraphs, verse, headings, empty rows."""
    verse, ragged, mixed = chance(rng, 0.2), chance(rng, 0.3), chance(rng, 0.1)
    spoken = chance(rng, DIALOGUE)
    free = False
    for row in range(leaf.lines):
        how = float(rng.random())
        if row in (0, leaf.lines - 1) and chance(rng, 0.2):
            how = HEADING[0]
        if free or how < HEADING[0]:
            free = False
            continue
        free = how < HEADING[1] and chance(rng, 0.5)
        if spoken and how >= HEADING[1]:
            how = float(rng.uniform(*SHORT_ROWS))
        left, right, size = _row(rng, leaf, how, verse=verse, ragged=ragged)
        writer = hand
        if mixed and chance(rng, 0.4):
            writer = material.western(rng) if chance(rng, 0.6) else material.eastern(rng)
        strip = writer.line(rng, max(30, int((right - left) / size)))
        strip = strip.resized(size) if size != 1.0 else strip
        parts = [(left, strip)]
        if chance(rng, 0.05) and strip.width > 14 * BODY:
            cut = int(strip.width * rng.uniform(0.3, 0.5))
            after = left + cut + rng.uniform(2, 5) * BODY
            parts = [(left, strip.cut(0, cut)), (after, strip.cut(cut, strip.width - 5 * int(BODY)))]
        sheet.write(Kind.MAIN, parts, leaf.row(row))


def _row(rng: np.random.Generator, leaf: Leaf, how: float, *, verse: bool, ragged: bool) -> tuple[float, float, float]:
    """Return a row's left and right edge and its size: a heading, verse, the begin or end of a paragraph, or full."""
    wide, left, right = leaf.right - leaf.left, leaf.left, leaf.right
    if how < HEADING[1]:
        size = float(rng.uniform(0.85, 1.35))
        left += rng.uniform(0.1, 0.46) * wide
        return left, leaf.right - (left - leaf.left), size
    if verse:
        left += rng.choice([0.1, 0.15, 0.2]) * wide
        right -= rng.uniform(0.1, 0.4) * wide
    elif how < SHORT_ROWS[0]:
        left += rng.uniform(1, 4) * BODY
    elif how < SHORT_ROWS[1]:
        right -= rng.uniform(0.1, SHORTEST) * wide
    elif ragged:
        right -= rng.uniform(0, 0.08) * wide
    return left, right, 1.0


def _footnotes(rng: np.random.Generator, sheet: Sheet, leaf: Leaf, hand: Hand) -> Leaf:
    """Set the last rows as small notes under a rule, and return the rows that are left. Footnotes are main text."""
    size, rows = float(rng.uniform(0.6, 0.8)), int(rng.integers(1, 6))
    kept = max(1, leaf.lines - rows)
    top = leaf.top + kept * leaf.pitch + 0.5 * leaf.pitch
    sheet.rule(
        (leaf.left, top - 8),
        (leaf.left + rng.uniform(0.2, 1) * (leaf.right - leaf.left), top - 8),
        int(rng.integers(1, 3)),
    )
    for row in range(min(rows, leaf.lines - kept)):
        strip = hand.line(rng, int((leaf.right - leaf.left) * rng.uniform(0.4, 1.0) / size)).resized(size)
        sheet.write(Kind.MAIN, [(leaf.left, strip)], top + (row + 0.5) * leaf.pitch * size)
    return Leaf(leaf.left, leaf.top, leaf.right, kept, leaf.pitch)


def _side_notes(rng: np.random.Generator, sheet: Sheet, leaf: Leaf, hand: Hand) -> None:
    """Write short small rows beside the text."""
    size = float(rng.uniform(0.5, 0.85))
    first = leaf.left > sheet.width - leaf.right
    room = (leaf.left if first else sheet.width - leaf.right) - 16
    if room < 60:
        return
    y = leaf.top + rng.uniform(0, 0.5) * (leaf.bottom - leaf.top)
    while y < leaf.bottom - BODY and chance(rng, 0.85):
        strip = hand.line(rng, int(room * rng.uniform(0.6, 0.95) / size)).resized(size)
        x = leaf.left - 10 - strip.width if first else leaf.right + 10
        sheet.write(Kind.MARGIN, [(x, strip)], y)
        y += leaf.pitch * size * (1.0 if chance(rng, 0.8) else rng.uniform(2, 6))


def _heads(rng: np.random.Generator, material: Material, sheet: Sheet, leaf: Leaf, hand: Hand) -> None:
    """Write the running head with or without a rule, and the page's number."""
    wide, room = leaf.right - leaf.left, leaf.top
    y = leaf.top - rng.uniform(0.7, 1.8) * BODY * 1.6
    if chance(rng, 0.6) and room > 2.2 * BODY:
        size = float(rng.uniform(0.6, 1.0))
        strip = hand.line(rng, int(rng.uniform(0.12, 0.6) * wide / size)).resized(size)
        x = leaf.left + rng.choice([0.0, 0.5, 1.0]) * (wide - strip.width)
        parts = [(x, strip)]
        if chance(rng, 0.35):
            numeral = _numeral(rng, material, plain=True)
            at = leaf.left if x > leaf.left + wide / 2 - strip.width / 2 else leaf.right - numeral.width
            parts = sorted([*parts, (at, numeral)], key=lambda part: part[0])
        sheet.write(Kind.RUNNING, parts, y)
        if chance(rng, 0.45):
            sheet.rule((leaf.left, y + strip.below + 5), (leaf.right, y + strip.below + 5), int(rng.integers(1, 4)))
    if chance(rng, 0.8):
        strip = _numeral(rng, material, plain=False).resized(float(rng.uniform(0.7, 1.3)))
        x = leaf.left + rng.choice([0.0, 0.5, 0.5, 1.0]) * (wide - strip.width)
        y = leaf.bottom + rng.uniform(0.6, 3.4) * BODY
        sheet.write(Kind.RUNNING, [(x, strip)], min(y, sheet.height - strip.below - 2))


def _numeral(rng: np.random.Generator, material: Material, *, plain: bool) -> Strip:
    text = number(rng, latin=0.6)
    if not plain and chance(rng, 0.3):
        text = str(rng.choice(["- {} -", "({})", "·{}·", "— {} —", "[{}]"])).format(text)
    writer = material.western(rng) if text.isascii() or "—" in text or "·" in text else material.print(rng)
    return writer.words(text)
