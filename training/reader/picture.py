"""Compose pictures of lines as they are cut out of pages: from a seed and a number, always the same.

A line is set on a canvas with its neighbours and its frame, bent, printed, kept and scanned, and cut out as a window
that is too high, too low or askew: the network sees lines as the product's cut leaves them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from bec_orch.jobs.ocrv1.engines.bec_input import HEIGHT, WIDTH_SHARE
from training.reader.setting import LETTER, Face, Style
from training.reader.writing import KINDS, Writing
from training.shared import Bytes, Floats
from training.wear import Medium, clouds, inked, kept, paper, scanned

RIM = 24
"""The canvas is larger than the window by this many pixels on each side, for the bend."""
LEAST_STACKS, STACK_WIDTH = 12, 14
LEAST_CONTRAST = 14.0
"""Grey levels by which ink must stand out from the paper at least..."""
LEAST_SEEN, LEAST_SEEN_OF_PART = 0.72, 0.55
"""... and the least correlation of what was set and what is seen, of the line and of each of its parts: what cannot be
read is not trained on. Chosen by eye: below it, one reads what one knows."""
PARTS, LEAST_PIXELS = 4, 40
SEEN_HEIGHT = 48
WORN = 0.7
"""Factor of the wear: that of pages would leave every other line unreadable. With each new try it is less."""
BITONAL = 0.3
"""Share of the pictures that are black and white beside those that a medium makes so: scans of block prints are."""
TRIES = 4
CARVED, CARVED_UNLIKE, CARVED_LEAN = 0.7, (0.25, 0.1, 0.15), 0.3
"""Share of the lines whose letters are proportioned otherwise than the font's; the deviations of the heights of what
stands above the head line, of the letters and of what hangs below; and of the lean of the vowels above: carvers kept to
no font, and made vowels long and slanting."""
BESIDE = (0.7, 0.3)
"""Of runs of text and of syllables in any order in the lines above and below, of which only parts are seen."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A composed line: grey (HEIGHT, W), and its text."""

    grey: Bytes
    text: str


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a window lies on the canvas.

    Attributes:
        height: of the window, canvas pixels.
        width: of the window.
        head: row of the head line within the window.
        pitch: from line to line.
    """

    height: float
    width: float
    head: float
    pitch: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, width: int) -> "Cut":
        """Draw a window of a picture of `width` pixels."""
        pitch = LETTER * float(rng.uniform(2.1, 2.7) if rng.random() < 0.6 else rng.uniform(2.6, 4.2))
        high = LETTER * float(np.clip(rng.normal(3.2, 0.5), 2.1, 4.8))
        middle = LETTER * (0.62 + float(rng.normal(0, 0.16)))
        stretch = float(np.exp(rng.normal(0.12, 0.14)))
        return cls(high, width / WIDTH_SHARE * high / HEIGHT * stretch, high / 2 - middle, pitch)


@dataclass
class Composer:
    """Composes lines.

    Attributes:
        writing: what they say.
        faces: the fonts that they are set with.
    """

    writing: Writing
    faces: Sequence[Face] = field(repr=False)

    def picture(self, rng: np.random.Generator, width: int, kind: str | None = None) -> Picture:
        """Compose a line that can be read, `width` pixels wide, of a kind of writing or of any."""
        for tried in range(TRIES):
            picture = self._tried(rng, width, kind, WORN / (1 + tried))
            if picture is not None:
                return picture
        return Picture(np.full((HEIGHT, width), 235, np.uint8), "")

    def _tried(self, rng: np.random.Generator, width: int, kind: str | None, worn: float) -> Picture | None:
        cut = Cut.drawn(rng, width)
        style = Style.drawn(rng, self.faces)
        canvas = np.zeros((round(cut.height) + 2 * RIM, round(cut.width) + 2 * RIM), np.uint8)
        left, right = _ends(rng, cut)
        text = self._set(rng, style, canvas, (left, right), RIM + cut.head, kind)
        own = canvas.copy()
        self._neighbours(rng, style, canvas, (left, right), cut)
        _frame(rng, canvas, (left, right), cut)
        scale = _scale(rng, cut)
        stroke = _stroke(rng)
        bend = Bend.drawn(rng, canvas.shape, cut, scale)
        medium = Medium.drawn(rng)
        medium = replace(medium, bitonal=medium.bitonal or bool(rng.random() < BITONAL), worn=worn * medium.worn)
        drawn = bend.window(stroke(canvas))
        ink = inked(rng, drawn, medium.worn)
        grey = kept(rng, scanned(rng, ink, paper(rng, ink.shape[0], ink.shape[1], medium), medium, None), medium)
        if text and not _is_seen(grey, bend.window(own), bend.window(canvas)):
            return None
        return Picture(_fitted(grey, width), text)

    def _set(
        self,
        rng: np.random.Generator,
        style: Style,
        canvas: Bytes,
        ends: tuple[float, float],
        head: float,
        kind: str | None = None,
    ) -> str:
        count = max(LEAST_STACKS, int((ends[1] - ends[0]) / STACK_WIDTH))
        return style.set_line(rng, self.writing.line(rng, count, kind), canvas, *ends, head)

    def _neighbours(
        self, rng: np.random.Generator, style: Style, canvas: Bytes, ends: tuple[float, float], cut: Cut
    ) -> None:
        """Set the lines above and below, as far as the canvas shows them; neither or one at a page's edge."""
        for side in (-1, 1):
            if rng.random() < 0.18:
                continue
            head = RIM + cut.head + side * cut.pitch * float(rng.normal(1, 0.03))
            if -2 * LETTER < head < canvas.shape[0] + LETTER:
                shift = float(rng.uniform(-20, 20))
                kind = str(rng.choice(KINDS[: len(BESIDE)], p=BESIDE))
                self._set(rng, style, canvas, (ends[0] + shift, ends[1]), head, kind)


def _ends(rng: np.random.Generator, cut: Cut) -> tuple[float, float]:
    """Draw where a line begins and ends: near the window's ends most often."""
    left, right = float(RIM + rng.uniform(2, 40)), float(RIM + cut.width - rng.uniform(2, 30))
    if rng.random() < 0.12:
        left += float(rng.uniform(0, 0.3)) * cut.width
    if rng.random() < 0.12:
        right -= float(rng.uniform(0, 0.5)) * cut.width
    return left, right


def _frame(rng: np.random.Generator, canvas: Bytes, ends: tuple[float, float], cut: Cut) -> None:
    """Draw the bars at the line's ends, what stands outside of them, and rules above and below."""
    for side, end in ((-1, ends[0]), (1, ends[1])):
        if rng.random() < 0.3:
            _bars(rng, canvas, end, side)
    for row in (RIM + cut.head - LETTER * rng.uniform(0.9, 2.0), RIM + cut.head + LETTER * rng.uniform(2.3, 3.4)):
        if rng.random() < 0.12:
            lean = int(rng.normal(0, 4))
            begin, stop = (0, round(row)), (canvas.shape[1], round(row) + lean)
            cv2.line(canvas, begin, stop, 255, int(rng.integers(2, 9)), cv2.LINE_AA)


def _bars(rng: np.random.Generator, canvas: Bytes, end: float, side: int) -> None:
    x = end + side * float(rng.uniform(3, 18))
    for _ in range(int(rng.integers(1, 3))):
        thick = int(rng.integers(2, 9))
        lean = int(rng.normal(0, 2))
        cv2.line(canvas, (round(x), 0), (round(x) + lean, canvas.shape[0]), 255, thick, cv2.LINE_AA)
        x += side * float(rng.uniform(thick + 4, 24))
    beyond = canvas[:, round(x) :] if side > 0 else canvas[:, : max(0, round(x))]
    chance = rng.random()
    if beyond.shape[1] < 4 or chance < 0.5:
        return
    spots = clouds(rng, beyond.shape[0], beyond.shape[1], float(rng.uniform(2, 12)))
    beyond[spots > (rng.uniform(-0.5, 2.0) if chance < 0.9 else -9)] = 255


def _scale(rng: np.random.Generator, cut: Cut) -> float:
    """Draw the resolution of the scan: its window is some 44 to 150 pixels high."""
    return float(np.exp(rng.uniform(np.log(44), np.log(150)))) / cut.height if rng.random() < 0.8 else 64 / cut.height


def _stroke(rng: np.random.Generator) -> "Stroke":
    thick = rng.random() < 0.45
    sides = (int(rng.choice([1, 2, 3])), int(rng.choice([1, 2, 3, 4])))
    return Stroke(np.ones(sides, np.uint8), thick) if rng.random() < 0.7 else Stroke(np.ones((1, 1), np.uint8), thick)


@dataclass(frozen=True, slots=True)
class Stroke:
    """Makes strokes thicker or thinner, level ones and upright ones each by its own."""

    kernel: Bytes
    thicker: bool

    def __call__(self, ink: Bytes) -> Bytes:
        """Return the ink with its strokes changed."""
        if self.kernel.size == 1:
            return ink
        if self.thicker:
            return np.asarray(cv2.dilate(ink, self.kernel), np.uint8)
        thin = np.minimum(self.kernel.shape, 2)
        return np.asarray(cv2.erode(ink, np.ones(thin, np.uint8)), np.uint8)


@dataclass(frozen=True, slots=True)
class Bend:
    """Takes the window out of the canvas: scaled, askew, bent, and uneven as by a carver's hand.

    Attributes:
        x: for each pixel of the window its column on the canvas.
        y: and its row.
        blur: deviation by which the canvas is blurred first, so that it can be made smaller.
    """

    x: Floats
    y: Floats
    blur: float

    @classmethod
    def drawn(cls, rng: np.random.Generator, shape: tuple[int, ...], cut: Cut, scale: float) -> "Bend":
        """Draw a bend of the window at a scale."""
        height, width = max(24, round(cut.height * scale)), max(48, round(cut.width * scale))
        rows = RIM + (np.arange(height) + 0.5) / scale - 0.5
        columns = RIM + (np.arange(width, dtype=np.float32) + 0.5) / scale - 0.5
        rows, leaning = _carved(rng, rows, RIM + cut.head)
        x, y = np.meshgrid(columns, rows)
        x = x + leaning[:, None]
        lean = float(rng.normal(0, 0.006))
        shear = float(rng.normal(0, 0.06))
        bow = (
            LETTER
            * float(rng.normal(0, 0.08))
            * np.sin(float(rng.uniform(0, 7)) + x[0] * 2 * np.pi / (cut.width * float(rng.uniform(0.5, 3))))
        )
        y = y + np.clip(lean * (x - shape[1] / 2), -RIM / 2, RIM / 2) + bow.astype(np.float32)
        x = x + shear * (y - shape[0] / 2)
        for cell, amount in ((90.0, 0.10), (22.0, 0.05)):
            if rng.random() < 0.6:
                strength = LETTER * amount * float(rng.random())
                x = x + strength * clouds(rng, height, width, cell * scale)
                y = y + strength * clouds(rng, height, width, cell * scale)
        return cls(x, y, 0.45 / scale if scale < 0.9 else 0.0)

    def window(self, canvas: Bytes) -> Bytes:
        """Return the window of a canvas."""
        soft = cv2.GaussianBlur(canvas, (0, 0), self.blur) if self.blur else canvas
        return np.asarray(cv2.remap(soft, self.x, self.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.uint8)


def _carved(rng: np.random.Generator, rows: NDArray[np.floating], head: float) -> tuple[Floats, Floats]:
    """Return other rows, so that what is above the head line, the letters, and what is below are higher or lower.

    Returns:
        The rows, and how far to the right each one's ink is taken from: vowels above lean.
    """
    carved = rng.random() < CARVED
    above, letters, below = np.exp(-rng.normal(0, CARVED_UNLIKE)) if carved else (1.0, 1.0, 1.0)
    far = 8 * LETTER
    seen = (head - far, head, head + LETTER, head + LETTER + far)
    meant = (head - above * far, head, head + letters * LETTER, head + letters * LETTER + below * far)
    lean = float(rng.normal(0, CARVED_LEAN)) if carved else 0.0
    taken = np.interp(rows, seen, meant).astype(np.float32)
    return taken, np.float32(lean) * np.clip(taken - np.float32(head), -far, 0)


def _is_seen(grey: Bytes, own: Bytes, every: Bytes) -> bool:
    """Return whether a line's own ink stands out of what is seen, all along the line.

    Args:
        grey: what is seen.
        own: the line's ink as it was set.
        every: all ink as it was set.
    """
    size = max(PARTS, round(grey.shape[1] * SEEN_HEIGHT / grey.shape[0])), SEEN_HEIGHT
    seen, ink, there = (
        np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA), np.uint8) for each in (grey, own, every)
    )
    near = cv2.dilate((ink > 60).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    bounds = np.linspace(0, size[0], PARTS + 1).astype(int)
    parts = [(seen[:, a:b][near[:, a:b]], there[:, a:b][near[:, a:b]]) for a, b in pairwise(bounds)]
    alike = [_alike(*part) for part in parts if part[0].size > LEAST_PIXELS]
    darkness = seen[near]
    if not alike or not darkness.size or darkness.std() < LEAST_CONTRAST:
        return False
    return min(alike) > LEAST_SEEN_OF_PART and float(np.mean(alike)) > LEAST_SEEN


def _alike(seen: Bytes, there: Bytes) -> float:
    return abs(float(np.corrcoef(seen, there)[0, 1])) if min(seen.std(), there.std()) > 0 else 0.0


def _fitted(grey: Bytes, width: int) -> Bytes:
    shrinks = grey.shape[0] > HEIGHT
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(grey, (width, HEIGHT), interpolation=interpolation), np.uint8)
