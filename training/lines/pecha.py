"""Layouts of pechas: long leaves with a few long lines, printed from blocks, reprinted, or written by hand."""

from dataclasses import dataclass

import cv2
import numpy as np

from training.lines.drawing import ornament, picture, seal, smear
from training.lines.kinds import BODY, Kind
from training.lines.material import DIGITS, Hand, Material
from training.lines.sheet import Sheet
from training.lines.strips import Strip

FOLIOS = 0.45
"""Share of the leaves with a small number outside of the frame, besides what the margins hold."""
Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Leaf:
    """Where a leaf's text stands on its sheet, and how it is set."""

    left: float
    top: float
    right: float
    lines: int
    pitch: float

    @property
    def bottom(self) -> float:
        """Lower edge of the text."""
        return self.top + self.lines * self.pitch

    def row(self, number: int) -> float:
        """Centre of a line."""
        return self.top + (number + 0.5) * self.pitch


def chance(rng: np.random.Generator, share: float) -> bool:
    """Return True in this share of the cases."""
    return bool(rng.random() < share)


def number(rng: np.random.Generator, *, most: int = 700, latin: float = 0.4) -> str:
    """Write a page number: one or two digits most often."""
    value = int(
        rng.integers(1, 10)
        if chance(rng, 0.35)
        else rng.integers(10, 100)
        if chance(rng, 0.6)
        else rng.integers(1, most)
    )
    return str(value) if chance(rng, latin) else "".join(DIGITS[int(digit)] for digit in str(value))


def block_print(rng: np.random.Generator, material: Material) -> Sheet:
    """A block print: framed, with margin titles and folio numbers."""
    return _pecha(rng, material, material.block_print(rng), written=False)


def manuscript(rng: np.random.Generator, material: Material) -> Sheet:
    """A manuscript: uneven lines, notes between them, frames seldom."""
    return _pecha(rng, material, material.script(rng), written=True)


def stacked(rng: np.random.Generator, material: Material) -> Sheet:
    """Two or three leaves, one above the other, on one sheet."""
    hand = material.block_print(rng) if chance(rng, 0.6) else material.script(rng)
    lines, wide = int(rng.integers(3, 8)), rng.uniform(18, 40) * BODY * 1.8
    sheets = [
        _pecha(rng, material, hand, written=False, lines=lines, wide=wide) for _ in range(int(rng.integers(2, 4)))
    ]
    space = int(rng.integers(0, 70))
    whole = Sheet(max(sheet.width for sheet in sheets), sum(sheet.height + space for sheet in sheets))
    y = 0
    for sheet in sheets:
        whole.add(sheet, 0, y)
        y += sheet.height + space
    return whole


def title_leaf(rng: np.random.Generator, material: Material) -> Sheet:
    """A title page: one to four short lines in the middle of a leaf or a page, in frames; some differ in size."""
    hand = material.block_print(rng) if chance(rng, 0.7) else material.script(rng)
    lines = int(rng.integers(1, 5))
    factor = float(rng.uniform(0.8, 1.5))
    sizes = factor * (rng.uniform(0.55, 1.3, lines) if chance(rng, 0.5) else np.ones(lines))
    pitch = 44 * factor * rng.uniform(1.0, 1.6)
    width, height = int(rng.uniform(900, 2200)), int(lines * pitch + rng.uniform(120, 420))
    sheet = Sheet(width, height)
    top = height / 2 - lines * pitch / 2 + rng.normal(0, 12)
    longest, left = 0.0, float(width)
    for row in range(lines):
        size = float(sizes[row])
        strip = hand.line(rng, int(width * rng.uniform(0.08, 0.6) / size)).resized(size)
        x = (width - strip.width) / 2 + rng.normal(0, 6)
        sheet.write(Kind.MAIN, [(x, strip)], top + (row + 0.5) * pitch)
        longest, left = max(longest, strip.width), min(left, x)
    pad = rng.uniform(8, 40)
    if chance(rng, 0.2):
        _smeared(rng, sheet, (left - 3 * pad, top - 2 * pad, left + longest + 3 * pad, top + lines * pitch + 2 * pad))
    for _ in range(int(rng.integers(0, 4))):
        box = left - pad * 2, top - pad, left + longest + pad * 2, top + lines * pitch + pad
        sheet.box(*box, int(rng.integers(1, 7)))
        pad += rng.uniform(8, 40)
    _around(rng, material, sheet, (left - 2 * pad, top - pad, left + longest + 2 * pad, top + lines * pitch + pad))
    return sheet


def _smeared(rng: np.random.Generator, sheet: Sheet, box: tuple[float, float, float, float]) -> None:
    """Smear ink around a label, and leave the label itself clean."""
    left, top, right, bottom = (int(each) for each in box)
    out = [int(each) for each in rng.uniform(20, 160, 2)]
    mark = smear(rng, right - left + 2 * out[0], bottom - top + 2 * out[1])
    mark[out[1] : out[1] + bottom - top, out[0] : out[0] + right - left] = 0
    sheet.paste(mark, left - out[0], top - out[1])


def _pecha(
    rng: np.random.Generator,
    material: Material,
    hand: Hand,
    *,
    written: bool,
    lines: int | None = None,
    wide: float | None = None,
) -> Sheet:
    lines = lines or int(rng.choice([2, 3, 4, 5, 5, 6, 6, 6, 7, 7, 7, 8, 9, 10, 12, 16, 21]))
    pitch = BODY * (rng.uniform(1.45, 2.1) if not written else rng.uniform(1.5, 2.6))
    wide = wide or float(np.clip(lines * pitch * rng.uniform(3.5, 9.0), 620, 2500))
    sides, above, below = rng.uniform(20, 200, 2), rng.uniform(14, 130), rng.uniform(14, 130)
    outside = chance(rng, 0.25)
    if outside:
        above, below = above + 70, below + 70
    leaf = Leaf(float(sides[0]), float(above), float(sides[0] + wide), lines, float(pitch))
    sheet = Sheet(int(sides[0] + wide + sides[1]), int(leaf.bottom + below))
    blocked = _pictures(rng, material, sheet, leaf) if chance(rng, 0.22) else []
    if not blocked and chance(rng, 0.4 if written else 0.18):
        blocked = holes(rng, sheet, leaf)
    _text(rng, sheet, leaf, hand, blocked, written=written)
    if written or chance(rng, 0.1):
        _notes(rng, material, sheet, leaf, hand)
    _frame(rng, material, sheet, leaf, framed=0.35 if written else 0.9)
    if outside:
        _around(rng, material, sheet, (leaf.left, leaf.top - 34, leaf.right, leaf.bottom + 34))
    return sheet


def _text(
    rng: np.random.Generator, sheet: Sheet, leaf: Leaf, hand: Hand, blocked: list[tuple[Span, Span]], *, written: bool
) -> None:
    spread = rng.uniform(0.0, 0.05) * leaf.pitch if written else 0.0
    short = chance(rng, 0.3)
    sizes = rng.uniform(0.85, 1.15) if written else 1.0
    for row in range(leaf.lines):
        y = leaf.row(row) + rng.normal(0, spread)
        spans = _free((leaf.left, leaf.right), y, blocked)
        if row == 0 and chance(rng, 0.25):
            spans[0] = spans[0][0] + rng.uniform(20, 160), spans[0][1]
        if row == leaf.lines - 1 and short:
            spans = [(start, start + (end - start) * rng.uniform(0.1, 0.9)) for start, end in spans[:1]]
        parts = []
        for start, end in spans:
            if end - start > 2 * BODY:
                strip = hand.line(rng, int((end - start) / sizes))
                strip = strip.resized(sizes) if sizes != 1.0 else strip
                parts.append((start, _small_part(rng, strip) if chance(rng, 0.07) else strip))
        if written:
            parts = [(x, waved(rng, strip)) for x, strip in parts]
        sheet.write(Kind.MAIN, parts, y, strength=float(rng.uniform(0.85, 1.0)))


def waved(rng: np.random.Generator, strip: Strip) -> Strip:
    """Make a line rise and fall as a hand does."""
    at = np.arange(strip.width)
    shift = rng.normal(0, 1.6) * np.sin(rng.uniform(0, 7) + at * 2 * np.pi / rng.uniform(200, 900))
    shift += rng.normal(0, 0.002) * (at - strip.width / 2)
    ink = cv2.copyMakeBorder(strip.ink, 6, 6, 0, 0, cv2.BORDER_CONSTANT, value=0)
    places = np.indices(ink.shape, np.float32)
    moved = cv2.remap(ink, places[1], places[0] - shift.astype(np.float32), cv2.INTER_LINEAR)
    centre = (strip.centre + 6 + shift).astype(np.float32)
    return Strip(np.asarray(moved, np.uint8), centre, strip.above, strip.below, strip.body)


def _small_part(rng: np.random.Generator, strip: Strip) -> Strip:
    """Set a part of a line smaller, on the same centre: it is still main text."""
    if strip.width < 12 * BODY:
        return strip
    start, end = sorted(rng.uniform(0.1, 0.9, 2) * strip.width)
    small = strip.cut(int(start), int(end) + 8).resized(0.62)
    ink = strip.ink.copy()
    ink[:, int(start) : int(end) + 8] = 0
    top = max(0, round(float(np.median(strip.centre)) - float(np.median(small.centre))))
    height = min(small.ink.shape[0], ink.shape[0] - top)
    ink[top : top + height, int(start) : int(start) + small.width] = small.ink[:height]
    return Strip(ink, strip.centre, strip.above, strip.below, strip.body)


def _free(span: Span, y: float, blocked: list[tuple[Span, Span]]) -> list[Span]:
    """Return what is left of a row beside what stands in its way."""
    spans = [span]
    for (left, right), (top, bottom) in sorted(blocked):
        if top < y < bottom:
            start, end = spans.pop()
            spans += [(start, left), (right, end)]
    return [(start, end) for start, end in spans if end > start] or [span]


def _pictures(rng: np.random.Generator, material: Material, sheet: Sheet, leaf: Leaf) -> list[tuple[Span, Span]]:
    """Draw one to three pictures over the whole height, some with a caption below."""
    high = leaf.bottom - leaf.top
    wide = min(high * rng.uniform(0.7, 1.1), (leaf.right - leaf.left) / 5)
    places = {1: [rng.uniform(0, 1)], 2: [0.0, 1.0], 3: [0.0, 0.5, 1.0]}[int(rng.integers(1, 4))]
    blocked = []
    captioned, hand = chance(rng, 0.4), material.print(rng)
    for place in places:
        left = leaf.left + place * (leaf.right - leaf.left - wide)
        tall = high - (14 if captioned else 0)
        sheet.paste(picture(rng, int(wide), int(tall)), int(left), int(leaf.top))
        if captioned:
            strip = hand.line(rng, int(wide * 2)).resized(0.4)
            sheet.write(Kind.OTHER, [(left + max(0, (wide - strip.width) / 2), strip)], leaf.bottom - 5)
        pad = rng.uniform(8, 24)
        if chance(rng, 0.4):
            for x in (left - pad / 2, left + wide + pad / 2):
                sheet.rule((x, leaf.top), (x, leaf.bottom), int(rng.integers(1, 4)))
        blocked.append(((left - pad, left + wide + pad), (leaf.top - 99, leaf.bottom + 99)))
    return blocked


def holes(rng: np.random.Generator, sheet: Sheet, leaf: Leaf) -> list[tuple[Span, Span]]:
    """Leave room for one or two string holes, which may part all rows, and draw rings around them or not."""
    places = [0.25, 0.75] if chance(rng, 0.35) else [float(rng.choice([0.25, 0.33, 0.5, 0.66]))]
    y, size = (leaf.top + leaf.bottom) / 2, leaf.pitch * rng.uniform(0.5, 2.0)
    tall = (leaf.bottom - leaf.top) / 2 if chance(rng, 0.3) else size
    ring, hole = (int(rng.integers(1, 4)) if chance(rng, share) else 0 for share in (0.6, 0.4))
    blocked = []
    for place in places:
        x = leaf.left + (leaf.right - leaf.left) * place
        if ring:
            cv2.circle(sheet.ink, (int(x), int(y)), int(size * 0.8), 255, ring)
        if hole:
            cv2.circle(sheet.ink, (int(x), int(y)), int(size * 0.3), 230, cv2.FILLED)
        blocked.append(((x - size * 1.2, x + size * 1.2), (y - tall, y + tall)))
    return blocked


def _notes(rng: np.random.Generator, material: Material, sheet: Sheet, leaf: Leaf, hand: Hand) -> None:
    """Write small notes between the lines."""
    if not chance(rng, 0.45):
        return
    own = hand if chance(rng, 0.5) else material.script(rng)
    size = rng.uniform(0.32, 0.55)
    for _ in range(int(rng.integers(1, 3 + 2 * leaf.lines))):
        row = int(rng.integers(leaf.lines))
        strip = own.line(rng, int(rng.uniform(60, 700))).resized(size)
        y = leaf.row(row) - rng.uniform(0.46, 0.56) * leaf.pitch
        x = rng.uniform(leaf.left, leaf.right - strip.width) if leaf.right - strip.width > leaf.left else leaf.left
        box = x - 3, y - 0.8 * strip.above, x + strip.width + 3, y + 0.8 * strip.below
        covered = sheet.ink[max(0, int(box[1])) : max(1, int(box[3])), max(0, int(box[0])) : max(1, int(box[2]))]
        if covered.size and (covered > 128).mean() < 0.12:
            sheet.write(Kind.NOTE, [(x, strip)], y, strength=float(rng.uniform(0.6, 1.0)))


def _frame(rng: np.random.Generator, material: Material, sheet: Sheet, leaf: Leaf, *, framed: float) -> None:
    """Draw the frame, and the margins' titles and numbers beside the text."""
    pad = rng.uniform(2, 16)
    left, top, right, bottom = leaf.left - pad - 4, leaf.top - pad, leaf.right + pad + 4, leaf.bottom + pad
    is_framed = chance(rng, framed)
    if is_framed:
        thick = int(rng.integers(1, 6))
        sheet.box(left, top, right, bottom, thick)
        if chance(rng, 0.6):
            out = rng.uniform(5, 14)
            sheet.box(left - out, top - out, right + out, bottom + out, int(rng.integers(1, 8)))
            left, right = left - out, right + out
        if chance(rng, 0.2):
            band = ornament(rng, int(right - left), int(rng.integers(8, 34)))
            sheet.paste(band, int(left), int(top - band.shape[0] - 4))
            sheet.paste(band, int(left), int(bottom + 4))
    small = rng.uniform(0.4, 0.75)
    for side, share in ((left, 0.75), (right, 0.55)):
        if chance(rng, share):
            _margin(rng, material, sheet, leaf, side, small, ruled=is_framed and chance(rng, 0.6), first=side == left)
    if chance(rng, FOLIOS):
        _folio(rng, material, sheet, leaf, (left, right))


def _folio(rng: np.random.Generator, material: Material, sheet: Sheet, leaf: Leaf, edges: Span) -> None:
    """Write a small number where a reprint has it: beside or below the frame, near a corner."""
    numeral = number(rng, latin=0.7)
    writer = material.western(rng) if numeral.isascii() else material.print(rng)
    strip = writer.words(numeral).resized(float(rng.uniform(0.4, 1.0)))
    first, beside = chance(rng, 0.35), chance(rng, 0.6)
    room = edges[0] if first else sheet.width - edges[1]
    away = rng.uniform(3, max(4.0, room - strip.width - 2))
    if beside:
        x = edges[0] - away - strip.width if first else edges[1] + away
        y = leaf.top + rng.uniform(-0.1, 1.1) * (leaf.bottom - leaf.top)
    else:
        x = edges[0] + away if first else edges[1] - away - strip.width
        y = leaf.top / 3 if chance(rng, 0.3) else (leaf.bottom + 2 * sheet.height) / 3
    left, top = int(x), int(y - strip.above)
    under = sheet.ink[max(top, 0) : max(top + strip.ink.shape[0], 0), max(left, 0) : max(left + strip.width, 0)]
    if under.size and not (under > 128).any():
        sheet.write(Kind.RUNNING, [(x, strip)], y)


def _margin(
    rng: np.random.Generator,
    material: Material,
    sheet: Sheet,
    leaf: Leaf,
    edge: float,
    size: float,
    *,
    ruled: bool,
    first: bool,
) -> None:
    """Write what stands in a margin: an upright title, some short rows, a number."""
    hand = material.print(rng) if chance(rng, 0.7) else material.script(rng)
    high, away = leaf.bottom - leaf.top, rng.uniform(6, 16) + BODY * size
    x = edge - away if first else edge + away
    how = rng.random()
    if how < 0.45:
        strip = hand.line(rng, int(high * rng.uniform(0.4, 1.0) / size)).resized(size)
        strip = strip.cut(0, min(strip.width, int(high)))
        sheet.write(Kind.MARGIN, [(leaf.top + (high - strip.width) * rng.uniform(0, 1), strip)], x, upright=True)
    elif how < 0.7:
        for row in range(int(rng.integers(1, 4))):
            strip = hand.words(_words(rng)).resized(size)
            at = x - strip.width + BODY * size if first else x - BODY * size
            sheet.write(Kind.MARGIN, [(at, strip)], leaf.top + (row + 1) * high / 4 + rng.normal(0, 6))
    else:
        numeral = number(rng)
        writer = material.western(rng) if numeral.isascii() else hand
        strip = writer.words(numeral).resized(size * rng.uniform(0.8, 1.4))
        at = x - strip.width + BODY * size if first else x - BODY * size
        sheet.write(Kind.RUNNING, [(at, strip)], leaf.top + high * rng.uniform(0.05, 0.95))
    if ruled:
        out = edge - 2 * away if first else edge + 2 * away
        sheet.box(min(edge, out), leaf.top - 8, max(edge, out), leaf.bottom + 8, int(rng.integers(1, 5)))


def _words(rng: np.random.Generator) -> str:
    words = ["ཀ", "ཁ་", "དཀར་ཆག", "བཅུ་གཅིག", "ཉེར་གཉིས", "སུམ་ཅུ", "མདོ་སྡེ", "ག་པ", "གཅིག", "བརྒྱ་དང་", "གསུང་འབུམ", "ང་", "ལྔ་བཅུ"]
    return str(rng.choice(words)) + (str(rng.choice(words)) if chance(rng, 0.3) else "")


def _around(rng: np.random.Generator, material: Material, sheet: Sheet, box: tuple[float, float, float, float]) -> None:
    """Write and stamp outside of the frame: printed headings, labels, page numbers."""
    left, top, right, bottom = box
    for _ in range(int(rng.integers(1, 4))):
        how = rng.random()
        hand = material.western(rng) if chance(rng, 0.5) else material.print(rng)
        size = rng.uniform(0.45, 0.9)
        if how < 0.3:
            strip = hand.line(rng, int(rng.uniform(0.1, 0.5) * (right - left) / size)).resized(size)
            x = left + rng.choice([0.0, 0.5, 1.0]) * max(0.0, right - left - strip.width)
            sheet.write(Kind.OTHER, [(x, strip)], top - strip.below - rng.uniform(2, 16))
        elif how < 0.5:
            strip = hand.line(rng, int(rng.uniform(0.05, 0.4) * (right - left) / size)).resized(size)
            x = left + rng.choice([0.0, 0.5, 1.0]) * max(0.0, right - left - strip.width)
            sheet.write(Kind.OTHER, [(x, strip)], bottom + strip.above + rng.uniform(2, 16))
        elif how < 0.75:
            numeral = number(rng, latin=0.7)
            strip = (
                (material.western(rng) if numeral.isascii() else material.print(rng)).words(numeral).resized(size * 1.2)
            )
            x = left + rng.choice([0.0, 0.5, 1.0]) * max(0.0, right - left - strip.width)
            y = (
                bottom + strip.above + rng.uniform(4, 20)
                if chance(rng, 0.6)
                else top - strip.below - rng.uniform(4, 20)
            )
            sheet.write(Kind.RUNNING, [(x, strip)], y)
        else:
            stamp(rng, material, sheet, right + rng.uniform(-80, 20), rng.uniform(top, bottom))


def stamp(rng: np.random.Generator, material: Material, sheet: Sheet, x: float, y: float) -> None:
    """Stamp a seal, or a framed label of one to three rows."""
    if chance(rng, 0.5):
        mark = seal(rng, int(rng.integers(40, 110)))
        sheet.paste(mark, int(x), int(y), float(rng.uniform(0.3, 0.9)))
        return
    rows, size, strength = int(rng.integers(1, 4)), rng.uniform(0.4, 0.8), float(rng.uniform(0.4, 0.95))
    hand = material.western(rng)
    strips = [hand.line(rng, int(rng.uniform(80, 300) / size)).resized(size) for _ in range(rows)]
    wide, high = max(strip.width for strip in strips), 1.8 * BODY * size
    x = min(x, sheet.width - wide - 12)
    sheet.clear(x - 6, y - 6, x + wide + 6, y + rows * high + 6)
    for row, strip in enumerate(strips):
        sheet.write(Kind.OTHER, [(x + (wide - strip.width) / 2, strip)], y + (row + 0.5) * high, strength=strength)
    if chance(rng, 0.7):
        sheet.box(x - 5, y - 5, x + wide + 5, y + rows * high + 5, int(rng.integers(1, 4)), strength)
