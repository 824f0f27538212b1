"""Wear: what time, printing and scanning do to a drawn page. Nothing else mattered as much to what was learned.

Ink is darkness from 0 to 1. The steps: how the ink took (`inked`), the paper (`paper`), what the scanner saw
(`scanned`), and, after the page was bent, what was kept of it (`kept`).
"""

from dataclasses import dataclass

import cv2
import numpy as np

from training.shared import Bytes, Floats

LARGE = 12
"""Spots from this size on are made smooth at a quarter of the size first."""


@dataclass(frozen=True, slots=True)
class Medium:
    """How a page came to us.

    Attributes:
        bitonal: it is black and white.
        worn: how badly it was printed and kept, from 0 to 1.
        photo: it was taken with a camera, or from a microfilm.
        ground: what lies around the sheet, 0 to 255.
    """

    bitonal: bool
    worn: float
    photo: bool
    ground: int

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Medium":
        """Draw a medium."""
        bitonal = bool(rng.random() < 0.42)
        ground = 255 if bitonal and rng.random() < 0.6 else int(rng.choice([0, 12, 30, 90, 140, 200, 235, 255]))
        return cls(bitonal, float(rng.beta(1.1, 1.6)), bool(not bitonal and rng.random() < 0.4), ground)


def inked(rng: np.random.Generator, drawn: Bytes, worn: float) -> Floats:
    """Make the ink spread, break, blot and fade."""
    height, width = drawn.shape
    ink = np.asarray(drawn / np.float32(255), np.float32)
    if rng.random() < 0.85 * worn + 0.1:
        ink = _wood(rng, ink, worn)
    soft = cv2.GaussianBlur(ink, (0, 0), rng.uniform(0.6, 0.8 + 1.5 * worn))
    level = 0.42 + 0.10 * rng.standard_normal() + worn * (0.10 * clouds(rng, height, width, rng.uniform(30, 300)))
    if rng.random() < 0.5 * worn:
        level -= np.clip(clouds(rng, height, width, rng.uniform(25, 160)) - rng.uniform(0.6, 1.6), 0, 1) * 0.45
    level += worn * rng.uniform(0, 0.10) * clouds(rng, height, width, 3)
    level = np.clip(level, 0.06, 0.8)
    ink = np.clip((soft - level) / rng.uniform(0.1, 0.5) + 0.5, 0, 1)
    ink *= np.clip(soft * 6, 0, 1)
    if rng.random() < 0.75 * worn:
        depth = rng.uniform(0.2, 0.8)
        faded = np.clip(clouds(rng, height, width, rng.uniform(40, 500)) * 0.8 + rng.normal(0.2, 0.5), 0, 1)
        ink *= 1 - depth * faded
    if rng.random() < 0.5 * worn:
        holes = clouds(rng, height, width, rng.uniform(1.2, 3.5)) + 0.7 * clouds(rng, height, width, 90)
        ink *= 1 - 0.9 * (holes > rng.uniform(1.0, 2.4))
    return np.asarray(ink, np.float32)


def _wood(rng: np.random.Generator, ink: Floats, worn: float) -> Floats:
    """Print what the carver left standing between the letters: grain, specks and smears, near the text most."""
    height, width = ink.shape
    grain = clouds(rng, height, width, rng.uniform(2, 5))
    if rng.random() < 0.5:
        stretched = clouds(rng, height, max(2, width // 8), rng.uniform(1.5, 4))
        grain = np.asarray(cv2.resize(stretched, (width, height)), np.float32)
    where = clouds(rng, height, width, rng.uniform(50, 400))
    if rng.random() < 0.7:
        near = cv2.resize(ink, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
        near = cv2.resize(cv2.GaussianBlur(near, (0, 0), 3), (width, height))
        where = where + np.clip(near * 8, 0, 1) - 0.8
    amount = np.clip(where + 2.2 * worn * rng.random() - 1.3, 0, 1.3)
    dirt = np.clip((grain + 1.6 * amount - rng.uniform(2.0, 3.0)) * 2, 0, 1) * rng.uniform(0.4, 1.0)
    return np.asarray(np.maximum(ink, dirt), np.float32)


def paper(rng: np.random.Generator, height: int, width: int, medium: Medium) -> Floats:
    """Make paper: brightness 0 to 1, with its tone, grain, stains, folds and a shadow."""
    if medium.bitonal:
        base = np.full((height, width), 0.95, np.float32)
        if rng.random() < medium.worn:
            base -= 0.15 * np.clip(clouds(rng, height, width, rng.uniform(60, 400)), 0, 3) * rng.random()
    else:
        base = np.full((height, width), rng.uniform(0.45, 0.98), np.float32)
        base += rng.uniform(0, 0.05) * clouds(rng, height, width, rng.uniform(80, 500))
        base += rng.uniform(0, 0.03) * clouds(rng, height, width, rng.uniform(6, 40))
        if rng.random() < 0.55:
            base += _texture(rng, height, width)
    grain = rng.uniform(0.002, 0.05)
    base += grain * rng.standard_normal((height, width), dtype=np.float32)
    for _ in range(int(rng.poisson(2.0 * medium.worn))):
        _stain(rng, base, 0.2 if medium.bitonal else 0.5)
    if rng.random() < 0.35 * medium.worn:
        _folds(rng, base)
    if medium.photo or rng.random() < 0.25:
        slope = rng.normal(0, 0.12, 2)
        y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
        base *= 1 + np.float32(slope[0]) * y[:, None] + np.float32(slope[1]) * x[None]
    return np.clip(base, 0.05, 1.0)


def _texture(rng: np.random.Generator, height: int, width: int) -> Floats:
    """Make the sieve's lines, fibres or bumps of hand-made paper: what looks like lines and is none."""
    depth, how = rng.uniform(0.01, 0.1), rng.random()
    if how < 0.35:
        period = rng.uniform(4, 22)
        waves = np.sin(2 * np.pi * np.arange(height) / period + rng.uniform(0, 7))[:, None]
        return np.asarray(depth * waves * clouds(rng, height, width, rng.uniform(40, 300)), np.float32)
    if how < 0.7:
        across = int(rng.integers(3, 12))
        fibres = clouds(rng, height, max(2, width // across), rng.uniform(1.5, 7))
        return np.asarray(depth * cv2.resize(fibres, (width, height)), np.float32)
    bumps = clouds(rng, height, width, rng.uniform(4, 18))
    return np.asarray(depth * 3 * cv2.Sobel(bumps, cv2.CV_32F, 0, 1, ksize=3) / 8, np.float32)


def _stain(rng: np.random.Generator, base: Floats, deepest: float) -> None:
    height, width = base.shape
    size = rng.uniform(10, 0.4 * min(height, width) + 20)
    x, y = rng.uniform(0, width), rng.uniform(0, height)
    left, right = int(max(x - 2 * size, 0)), int(min(x + 2 * size, width))
    top, bottom = int(max(y - size, 0)), int(min(y + size, height))
    if right - left < 4 or bottom - top < 4:
        return
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float32)
    far = np.hypot((columns - x) / (1.6 * size), (rows - y) / size) + 0.2 * clouds(
        rng, bottom - top, right - left, size / 2
    )
    hard = rng.uniform(2, 14)
    inside = np.clip((1 - far) * hard, 0, 1)
    if rng.random() < 0.2:
        inside = 0.6 * inside * np.exp(-(((1 - far) * 9 - 0.6) ** 2))
    base[top:bottom, left:right] *= 1 - rng.uniform(0.08, deepest) * inside


def _folds(rng: np.random.Generator, base: Floats) -> None:
    height, width = base.shape
    for _ in range(int(rng.integers(1, 4))):
        start, end = (int(rng.integers(width)), 0), (int(rng.integers(width)), height)
        if rng.random() < 0.5:
            start, end = (0, int(rng.integers(height))), (width, int(rng.integers(height)))
        mark = np.zeros_like(base)
        cv2.line(mark, start, end, 1.0, int(rng.integers(1, 4)))
        base -= rng.normal(0, 0.25) * cv2.GaussianBlur(mark, (0, 0), rng.uniform(0.8, 3))


def bound(rng: np.random.Generator, base: Floats, spine: float) -> Floats:
    """Darken paper towards the spine of an open book, with the cleft between the pages or without."""
    away = np.abs(np.arange(base.shape[1], dtype=np.float32) - np.float32(spine))
    shade = 1 - rng.uniform(0.05, 0.8) * np.exp(-away / rng.uniform(6, 60))
    if rng.random() < 0.4:
        shade = np.where(away < rng.uniform(0.5, 3.5), shade * rng.uniform(0.1, 0.7), shade)
    return np.asarray(np.clip(base * shade[None], 0.05, 1.0), np.float32)


def scanned(rng: np.random.Generator, ink: Floats, sheet: Floats, medium: Medium, behind: Floats | None) -> Bytes:
    """Lay ink on paper, with what shines through of the ink `behind`, or of its own: grey, 0 to 255."""
    seen = sheet
    depth = rng.uniform(0.75, 1.0) if rng.random() < 0.75 else rng.uniform(0.18, 0.75)
    if behind is not None or rng.random() < 0.25 + 0.3 * medium.worn:
        seen = seen * (1 - _through(rng, ink if behind is None else behind, depth, medium))
    grey = seen * (1 - depth * ink)
    if rng.random() < 0.03:
        grey = 1 - grey
    return np.asarray(np.clip(255 * grey, 0, 255), np.uint8)


def _through(rng: np.random.Generator, other: Floats, depth: float, medium: Medium) -> Floats:
    """Return by how much the ink of the other side, or of the next leaf, darkens the paper, wherever it stands.

    It is paler than the ink before it, and blurred: by this alone an unmirrored one can be told from text.
    """
    height, width = other.shape
    mirrored = medium.bitonal or rng.random() < 0.7
    near = mirrored and rng.random() < 0.5
    reach = (40, 60) if near else (height // 2 + 1, width // 2 + 1)
    shift = [int(rng.integers(-most, most)) for most in reach]
    other = np.roll(other[:, ::-1] if mirrored else other, shift, (0, 1))
    other = np.asarray(cv2.GaussianBlur(other, (0, 0), rng.uniform(1.1 if mirrored else 1.6, 3.2)), np.float32)
    if rng.random() < 0.4:
        other *= np.clip(0.6 + 0.5 * clouds(rng, height, width, rng.uniform(80, 400)), 0, 1)
    most = depth * (0.3 if medium.bitonal else 0.6 if mirrored else 0.4)
    strength = rng.uniform(0.03, 0.28) if rng.random() < 0.6 else rng.uniform(0.2, 0.5)
    return np.asarray(min(strength, most) * other, np.float32)


def laid(rng: np.random.Generator, grey: Bytes, medium: Medium) -> Bytes:
    """Lay the sheet on its ground: dark or bright edges, a torn rim, a finger, the next sheet."""
    height, width = grey.shape
    out = grey.copy()
    if rng.random() < 0.35:
        for side in range(4):
            if rng.random() < 0.5:
                _edge(rng, out, side, medium.ground if rng.random() < 0.7 else int(rng.integers(0, 60)))
    if rng.random() < 0.06:
        size = int(rng.uniform(20, 70))
        x, y = int(rng.choice([0, width])), int(rng.uniform(0, height))
        cv2.ellipse(
            out, (x, y), (2 * size, size), float(rng.normal(0, 20)), 0, 360, int(rng.uniform(90, 200)), cv2.FILLED
        )
    return out


def on_ground(rng: np.random.Generator, grey: Bytes, medium: Medium) -> tuple[Bytes, int, int]:
    """Lay the sheet on a wide ground, as a camera sees it; return also how far it moved to the right and down."""
    height, width = grey.shape
    left, right = (int(each) for each in rng.uniform(0, 0.12, 2) * width)
    above, below = (int(each) for each in rng.uniform(0, 0.5, 2) * min(height, 400))
    tall, wide = height + above + below, width + left + right
    tone = medium.ground + rng.uniform(0, 12) * clouds(rng, tall, wide, rng.uniform(20, 300))
    if rng.random() < 0.3:
        tone[above + height :: int(rng.integers(6, 40))] -= rng.uniform(10, 60)
    out = np.clip(tone, 0, 255).astype(np.uint8)
    shade = int(rng.integers(0, 8))
    out[above + shade : above + shade + height, left + shade : left + shade + width] //= 2
    out[above : above + height, left : left + width] = grey
    return out, left, above


def _edge(rng: np.random.Generator, out: Bytes, side: int, tone: int) -> None:
    """Darken one side of the page unevenly."""
    turned = np.rot90(out, side)
    height, width = turned.shape
    deep = rng.uniform(2, 0.05 * height + 8)
    rim = np.clip(
        deep * (1 + 0.4 * clouds(rng, 1, width, rng.uniform(20, 200))[0]) + rng.normal(0, 0.02) * np.arange(width),
        0,
        None,
    )
    inside = np.arange(height)[:, None] < rim[None]
    turned[inside] = tone


def kept(rng: np.random.Generator, grey: Bytes, medium: Medium) -> Bytes:
    """Blur, add the sensor's noise, make it black and white or compress it."""
    if medium.photo:
        grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.5, 2.2)), np.uint8)
    if rng.random() < 0.5 and not medium.bitonal:
        noise = rng.normal(0, rng.uniform(1, 12), grey.shape).astype(np.float32)
        grey = np.clip(grey + noise, 0, 255).astype(np.uint8)
    if medium.bitonal:
        return _thresholded(rng, grey)
    if rng.random() < 0.5:
        quality = int(rng.integers(20, 90))
        return np.asarray(cv2.imdecode(cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0), np.uint8)
    return grey


def _thresholded(rng: np.random.Generator, grey: Bytes) -> Bytes:
    soft = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 0.9))
    if rng.random() < 0.4:
        window = int(rng.integers(10, 40)) * 2 + 1
        return np.asarray(
            cv2.adaptiveThreshold(soft, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, window, rng.uniform(6, 24))
        )
    # Between the tone of the ink and that of the paper, wherever these lie: text that is gone is no text.
    dark, bright = (float(each) for each in np.percentile(soft, (1, 80)))
    level = dark + rng.uniform(0.3, 0.85) * (bright - dark)
    return np.asarray(np.where(soft > level, 255, 0), np.uint8)


def clouds(rng: np.random.Generator, height: int, width: int, cell: float) -> Floats:
    """Return smooth noise of about unit spread whose spots are some `cell` pixels large."""
    rows, columns = max(2, round(height / cell) + 1), max(2, round(width / cell) + 1)
    spots = rng.standard_normal((rows, columns), dtype=np.float32)
    if cell >= LARGE:
        spots = np.asarray(
            cv2.resize(spots, (max(2, width // 4), max(2, height // 4)), interpolation=cv2.INTER_CUBIC), np.float32
        )
    return np.asarray(cv2.resize(spots, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
