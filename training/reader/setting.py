"""Sets stacks of letters side by side with a font: close, uneven, with tshegs squeezed or lost, as carvers did.

Each stack is shaped by itself, which in Tibetan loses nothing, and kept: the same picture serves again and again.
Lengths are pixels of a canvas on which a short letter, such as ba, is `LETTER` high. Rows count from the head line, at
which letters hang.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.reader.symbols import written
from training.reader.writing import LEADER
from training.shared import Bytes

LETTER = 32
SHORT_LETTERS = "བཔམསལཟ"
TRIED_SIZE = 200
UNASSIGNED = "\u0fff"
"""A font that has no picture of a letter draws what it draws for this."""
WIDEST = 1.9
"""A stack wider than this share of its head letter is not stacked: the font cannot shape it."""
TSHEG, SPACE = "་", " "
ROOM_FOR_NUMBER = (1.5, 5.0)
"""What a leader leaves to the line's end, in terms of `LETTER`."""
LEAST_STEP = 1


@dataclass(frozen=True, slots=True)
class Glyph:
    """A stack's picture.

    Attributes:
        ink: 255 is ink.
        left: where it begins, from the pen's place.
        top: its first row.
        advance: how far the pen moves on.
    """

    ink: Bytes
    left: int
    top: int
    advance: float


@dataclass
class Face:
    """A font at the canvas's size.

    Attributes:
        path: its file.
    """

    path: Path
    _font: ImageFont.FreeTypeFont = field(init=False, repr=False)
    _head: int = field(init=False, repr=False)
    _missing: bytes = field(init=False, repr=False)
    _glyphs: dict[str, Glyph | None] = field(default_factory=dict, repr=False)
    _known: dict[str, bool] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        first, last = _rows(_opened(self.path, TRIED_SIZE))
        self._font = _opened(self.path, round(TRIED_SIZE * LETTER / (last - first)))
        self._head = round(_rows(self._font)[0])
        self._missing = _mask(self._font, UNASSIGNED)[0].tobytes()

    def glyph(self, stack: str) -> Glyph | None:
        """Return the picture of a stack; None where the font has none."""
        if stack not in self._glyphs:
            self._glyphs[stack] = self._shaped(stack)
        return self._glyphs[stack]

    def _shaped(self, stack: str) -> Glyph | None:
        advance = self._font.getlength(stack, language="bo")
        if stack == SPACE:
            return Glyph(np.zeros((1, 1), np.uint8), 0, 0, advance)
        ink, left, top = _mask(self._font, stack)
        if (
            not all(map(self._knows, stack))
            or not ink.size
            or advance > WIDEST * self._font.getlength(stack[0], language="bo")
        ):
            return None
        return Glyph(ink, left, top - self._head, advance)

    def _knows(self, letter: str) -> bool:
        if letter not in self._known:
            self._known[letter] = _mask(self._font, letter)[0].tobytes() != self._missing
        return self._known[letter]


def _opened(path: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.RAQM)


def _rows(font: ImageFont.FreeTypeFont) -> tuple[float, float]:
    """Return the rows, from the base line, at which the ink of short letters begins and ends."""
    drawn = [_mask(font, letter) for letter in SHORT_LETTERS]
    inked = [(np.flatnonzero((ink > 128).any(axis=1)), top) for ink, _, top in drawn]
    return median(float(rows[0]) + top for rows, top in inked), median(float(rows[-1] + 1) + top for rows, top in inked)


def _box(font: ImageFont.FreeTypeFont, text: str) -> tuple[float, float, float, float]:
    return font.getbbox(text, anchor="ls", language="bo")


def _mask(font: ImageFont.FreeTypeFont, text: str) -> tuple[Bytes, int, int]:
    """Draw a text; return its picture, and where that begins from the pen's place on the base line."""
    left, top, right, bottom = (int(side) for side in _box(font, text))
    image = Image.new("L", (max(right - left, 0) + 2, max(bottom - top, 0) + 2))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, fill=255, font=font, anchor="ls", language="bo")
    return np.asarray(image, np.uint8), left - 1, top - 1


@dataclass(frozen=True, slots=True)
class Style:
    """How the lines of one page are set.

    Attributes:
        face: the font.
        closeness: factor of the letters' advances.
        tsheg: factor of the tsheg's advance.
        lost: share of the tshegs that are not to be seen.
        space: factor of the space's advance.
        jitter: deviation of the letters' places along the line and of their rows, as shares of `LETTER`.
        uneven: deviation of the letters' sizes.
        small: share of the lines that hold a run of small script.
    """

    face: Face
    closeness: float
    tsheg: float
    lost: float
    space: float
    jitter: tuple[float, float]
    uneven: float
    small: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, faces: Sequence[Face]) -> "Style":
        """Draw a style: a close one of a block print most often, or that of a book."""
        face = faces[int(rng.integers(len(faces)))]
        if rng.random() < 0.3:
            return cls(face, rng.uniform(0.96, 1.12), rng.uniform(0.8, 1.2), 0.0, rng.uniform(0.6, 2.5), (0, 0), 0, 0)
        squeezed = rng.random() < 0.7
        return cls(
            face,
            closeness=float(rng.uniform(0.82, 1.03)),
            tsheg=float(rng.uniform(0.05, 0.6) if squeezed else rng.uniform(0.5, 1.1)),
            lost=float(rng.choice([0.0, 0.2, 0.7, 1.0])) if squeezed else 0.0,
            space=float(np.exp(rng.normal(0, 0.5))),
            jitter=(float(rng.uniform(0, 0.06)), float(rng.uniform(0, 0.05))),
            uneven=float(rng.choice([0.0, 0.0, 0.03, 0.06])),
            small=0.1,
        )

    def set_line(
        self, rng: np.random.Generator, stacks: Sequence[str], canvas: Bytes, left: float, right: float, head: float
    ) -> str:
        """Set stacks on a canvas until its line is full.

        Args:
            rng: draws the unevenness.
            stacks: what is to be set; what the font cannot shape is left out.
            canvas: takes the ink, (H, W).
            left: where the line begins.
            right: where it ends at the latest.
            head: the row of the head line.

        Returns:
            The text that was set: a leader is a space, and what the recogniser has no symbol for is not written.
        """
        pen, out = left, []
        notes = _small_run(rng, len(stacks)) if rng.random() < self.small else range(0)
        for place, stack in enumerate(stacks):
            if stack == LEADER:
                pen = _leader(rng, canvas, pen, right, head)
                out.append(SPACE)
                continue
            glyph = self.face.glyph(stack)
            if glyph is None:
                continue
            size = float(rng.normal(1, self.uneven)) * (0.66 if place in notes else 1.0) if self.uneven else 1.0
            if pen + glyph.left + size * glyph.ink.shape[1] > right:
                break
            pen += self._set(rng, stack, glyph, canvas, (pen, head), size)
            out.append(stack)
        return written("".join(out)).strip(SPACE)

    def _set(
        self,
        rng: np.random.Generator,
        stack: str,
        glyph: Glyph,
        canvas: Bytes,
        at: tuple[float, float],
        size: float,
    ) -> float:
        """Set one stack, and return how far the pen moves on."""
        if stack == SPACE:
            return max(LEAST_STEP, self.space * glyph.advance * float(rng.uniform(0.8, 1.2)))
        if stack == TSHEG:
            if rng.random() >= self.lost:
                _paste(canvas, glyph.ink, at[0] + glyph.left, at[1] + glyph.top)
            return self.tsheg * glyph.advance
        along, down = (LETTER * each * float(rng.standard_normal()) for each in self.jitter)
        ink = glyph.ink
        if size != 1.0:
            ink = np.asarray(cv2.resize(ink, None, fx=size, fy=size, interpolation=cv2.INTER_LINEAR), np.uint8)
        _paste(canvas, ink, at[0] + glyph.left + along, at[1] + size * glyph.top + down)
        return self.closeness * size * glyph.advance


def _leader(rng: np.random.Generator, canvas: Bytes, left: float, right: float, head: float) -> float:
    """Set a row of dots that leads to a number near the line's end, and return where the number begins."""
    end = right - LETTER * float(rng.uniform(*ROOM_FOR_NUMBER))
    step, radius = LETTER * float(rng.uniform(0.25, 1.0)), float(rng.uniform(1.2, 3.5))
    row = head + LETTER * float(rng.choice([0.5, 0.9, 1.0]) + rng.normal(0, 0.05))
    places = np.arange(left + step, end - step, max(step, 2 * radius + 2))
    for place in places:
        cv2.circle(canvas, (round(float(place)), round(row)), round(radius), 255, cv2.FILLED, cv2.LINE_AA)
    return max(left + LETTER, end)


def _small_run(rng: np.random.Generator, count: int) -> range:
    start = int(rng.integers(count + 1))
    return range(start, start + int(rng.integers(4, 20)))


def _paste(canvas: Bytes, ink: Bytes, left: float, top: float) -> None:
    """Lay ink on a canvas; what stands over its edge is cut off."""
    x, y = round(left), round(top)
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + ink.shape[1], canvas.shape[1]), min(y + ink.shape[0], canvas.shape[0])
    if x0 < x1 and y0 < y1:
        part = canvas[y0:y1, x0:x1]
        np.maximum(part, ink[y0 - y : y1 - y, x0 - x : x1 - x], out=part)
