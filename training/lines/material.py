"""What pages are composed of: real line pictures, and text shaped with open fonts.

A `Hand` writes the lines of one page: all of them look alike, as those of a page do. Nothing of the material is kept in
the project; fonts and pictures that are absent are left out, and `Material.found` says what was found.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.lines.kinds import BODY
from training.lines.strips import Strip, joined, measured
from training.shared import CURSIVE, SYSTEM_FONTS, UNLICENSED, Bytes

HEAVY_LATIN = ("bold", "sansmono")
PICTURES = ("tif", "jpg")
SMALLEST_GROUP = 8
TALLEST = 3.4
"""A picture higher than this many bodies holds more than a line."""
LONGEST_RULE = 0.6
"""A row with more ink than this share of a picture's width is a rule of its frame."""
NEARLY_PAPER = 0.2
SAMPLE = "འདི་སྐད་བདག་གིས་ཐོས་པ་དུས་གཅིག་ན། བཅོམ་ལྡན་འདས་རྒྱལ་པོའི་ཁབ་ན་བྱ་རྒོད་ཕུང་པོའི་རི་ལ་དགེ་སློང་གི་དགེ་འདུན་ཆེན་པོ་དང་ཐབས་ཅིག་ཏུ"
LATIN = (
    "the of and in to a is that for it as was with be by on not his which are this have from but an they at were their "
    "one all we can more when there so other than two may these some its time up into only out year about over such "
    "monastery volume library text printed edition works collected catalogue page India Delhi Tibetan Buddhist blocks "
    "der die und von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er hat daß sie "
    "nach Press, New 1974 1985, (Vol. 12) No. 221-4456, reproduced by from rare manuscript preserved at the"
)
CHINESE = (
    "的一是不了在人有我他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小么心"
    "多天而能好都然没日于起还发成事只作当想看文无开手十用主行方又如前所本见经头面公同三已老从动两长"
)
DIGITS = "༠༡༢༣༤༥༦༧༨༩"


class Hand(Protocol):
    """Writes the lines of a page."""

    def line(self, rng: np.random.Generator, width: int) -> Strip:
        """Write a line of at most this many pixels, and nearly so many."""
        ...

    def words(self, text: str) -> Strip:
        """Write a text; a hand of pictures gives some picture of about its length."""
        ...


@lru_cache(maxsize=512)
def _font(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.RAQM)


def _drawn(path: str, size: int, text: str, language: str | None) -> Bytes:
    font = _font(path, size)
    width = max(1, int(font.getlength(text, language=language)))
    image = Image.new("L", (width + size, 4 * size))
    ImageDraw.Draw(image).text((size // 2, 2 * size), text, fill=255, font=font, anchor="ls", language=language)
    box = image.getbbox()
    return np.asarray(image.crop((box[0], box[1], box[2], box[3]) if box else (0, 0, 1, 1)), np.uint8)


@lru_cache(maxsize=512)
def _size_of_body(path: str, sample: str) -> float:
    """Return the size at which a font's script has the common body."""
    strip = _drawn(path, 96, sample, None)
    profile = strip.astype(np.float64).sum(axis=1).cumsum()
    if profile[-1] <= 0:
        return 0.0
    low, high = np.interp([0.1 * profile[-1], 0.9 * profile[-1]], profile, np.arange(len(profile)))
    return 96 * BODY / max(float(high - low), 1.0)


@lru_cache(maxsize=512)
def _letter(path: str, sample: str) -> float:
    """Return the mean width of a code point of a font at the common body."""
    return _font(path, 96).getlength(sample) / len(sample) * _size_of_body(path, sample) / 96


@dataclass(frozen=True, slots=True)
class FontHand:
    """Writes text with a font.

    Attributes:
        path: the font's file.
        texts: what it writes from: runs of words.
        space: what stands between words.
        sample: text by which the font is brought to size.
        weight: pixels by which strokes are made thicker.
        stretch: factor of the widths.
        size: factor of the common size.
    """

    path: str
    texts: Sequence[str]
    space: str
    sample: str
    weight: int = 0
    stretch: float = 1.0
    size: float = 1.0

    def line(self, rng: np.random.Generator, width: int) -> Strip:
        """Write words until the line is full."""
        text = self.texts[int(rng.integers(len(self.texts)))]
        letter = self.size * self.stretch * _letter(self.path, self.sample)
        count = max(4, int(1.15 * width / letter))
        start = int(rng.integers(max(1, len(text) - count)))
        start = text.find(self.space, start) + 1 if self.space else start
        strip = self.words(text[start : start + count].strip())
        if strip.width <= width:
            return strip
        return _cut_at_blank(strip, 0, width)

    def words(self, text: str) -> Strip:
        """Write a text."""
        size = max(6, round(self.size * _size_of_body(self.path, self.sample)))
        ink = _drawn(self.path, size, text, "bo" if self.space == "་" else None)
        if self.weight:
            ink = np.asarray(cv2.copyMakeBorder(ink, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0), np.uint8)
            ink = np.asarray(cv2.dilate(ink, np.ones((2, 2), np.uint8), iterations=self.weight), np.uint8)
        if self.stretch != 1.0:
            new = max(1, round(ink.shape[1] * self.stretch)), ink.shape[0]
            ink = np.asarray(cv2.resize(ink, new, interpolation=cv2.INTER_AREA), np.uint8)
        profile = ink.astype(np.float64).sum(axis=1).cumsum()
        shares = np.array([0.02, 0.1, 0.5, 0.9, 0.98]) * profile[-1]
        rows = np.interp(shares, profile, np.arange(1, len(profile) + 1))
        centre = np.full(ink.shape[1], rows[2], np.float32)
        body = max(float(rows[3] - rows[1]), 0.5 * BODY * self.size)
        return Strip(ink, centre, float(rows[2] - rows[0]), float(rows[4] - rows[2]), body)


@dataclass(frozen=True, slots=True)
class PictureHand:
    """Sets lines of real pictures of one source."""

    strips: Sequence[Path]
    loaded: dict[Path, Strip | None]

    def line(self, rng: np.random.Generator, width: int) -> Strip:
        """Set pictures beside each other until the line is full, and cut it."""
        pieces: list[Strip] = []
        have = 0
        for _ in range(12):
            strip = self._strip(rng)
            if strip is None:
                continue
            pieces.append(strip)
            have += strip.width
            if have >= width:
                break
        if not pieces:
            return Strip(np.zeros((40, width), np.uint8), np.full(width, 20, np.float32), 16, 16)
        whole = joined(pieces, int(rng.integers(4, 24))) if len(pieces) > 1 else pieces[0]
        if whole.width <= width:
            return whole
        start = int(rng.integers(whole.width - width + 1))
        return _cut_at_blank(whole, start, start + width)

    def words(self, text: str) -> Strip:
        """Set a run of picture about as long as the text."""
        return self.line(np.random.default_rng(len(text)), max(40, 14 * len(text)))

    def usable(self) -> bool:
        """Return whether enough of the first pictures hold a line."""
        return sum(self._at(path) is not None for path in self.strips[:SMALLEST_GROUP]) >= SMALLEST_GROUP // 2

    def _strip(self, rng: np.random.Generator) -> Strip | None:
        return self._at(self.strips[int(rng.integers(len(self.strips)))])

    def _at(self, path: Path) -> Strip | None:
        if path not in self.loaded:
            self.loaded[path] = _picture(path)
        return self.loaded[path]


def _picture(path: Path) -> Strip | None:
    with Image.open(path) as image:
        grey = image.convert("L").reduce(2) if image.height > 120 else image.convert("L")
        ink = _ink_of(np.asarray(grey, np.uint8))
    bars, rules = (ink > 128).mean(axis=0) > 0.8, (ink > 128).mean(axis=1) > LONGEST_RULE
    if (bars.mean() > 0.001 and bars.sum() > 2) or rules.any():
        return None
    strip = measured(ink, straight=False)
    return None if strip is None or strip.ink.shape[0] > TALLEST * BODY else strip


def _ink_of(grey: Bytes) -> Bytes:
    """Return the ink of a picture that has mostly paper on it, of whatever tone; what is nearly paper is paper."""
    dark, paper = (float(each) for each in np.percentile(grey, (2, 60)))
    ink = (paper - grey.astype(np.float32)) / max(paper - dark, 1.0)
    return np.asarray(np.clip(255 * np.where(ink < NEARLY_PAPER, 0, ink), 0, 255), np.uint8)


def _cut_at_blank(strip: Strip, left: int, right: int) -> Strip:
    """Cut a strip near `left` and `right`, where a blank column is near; letters are cut otherwise."""
    blank = np.asarray((strip.ink <= 96).all(axis=0))

    def near(at: int, step: int) -> int:
        for tried in range(at, min(max(at + 28 * step, 0), strip.width), step):
            if 0 <= tried < strip.width and blank[tried]:
                return tried
        return min(max(at, 0), strip.width)

    left, right = near(left, 1) if left else 0, near(min(right, strip.width) - 1, -1)
    return strip.cut(left, max(right, left + 1))


@dataclass
class Material:
    """All that pages are composed of.

    Attributes:
        uchen: fonts of block letters.
        cursive: fonts of headless script.
        latin: fonts of Latin script.
        chinese: fonts of Chinese script.
        texts: Tibetan text.
        groups: real line pictures, by where they come from.
    """

    uchen: list[str]
    cursive: list[str]
    latin: list[str]
    chinese: list[str]
    texts: list[str]
    groups: list[list[Path]]
    loaded: dict[Path, Strip | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, data: Path, fonts: Path = SYSTEM_FONTS) -> "Material":
        """Gather what there is: line pictures, fonts and text under `data`, and the system's fonts."""
        files = sorted([*fonts.rglob("*.tt[fc]"), *fonts.rglob("*.otf")], key=lambda path: path.name.lower())
        own = sorted((data / "fonts_text" / "fonts").glob("*.ttf"))
        tibetan = [*own, *(path for path in files if "tibet" in str(path).lower())]
        tibetan = [path for path in tibetan if path.stem not in UNLICENSED]
        latin = [path for path in files if "liberation" in str(path).lower() or "dejavu" in str(path).lower()]
        chinese = [path for path in files if "cjk" in path.name.lower() or "uming" in path.name.lower()]
        usable = [str(path) for path in tibetan if _size_of_body(str(path), SAMPLE) > 0]
        cursive = [path for path in usable if any(name in Path(path).name.lower() for name in CURSIVE)]
        texts = sorted([*(data / "fonts_text").glob("*.txt"), *(data / "fonts_text" / "kangyur").glob("*.txt")])
        return cls(
            uchen=[path for path in usable if path not in cursive],
            cursive=cursive,
            latin=[str(path) for path in latin if "math" not in path.name.lower()],
            chinese=[str(path) for path in chinese],
            texts=[_plain(path) for path in texts] or [SAMPLE * 200],
            groups=_groups(sorted(path for ending in PICTURES for path in (data / "line_images").glob(f"*.{ending}"))),
        )

    def found(self) -> str:
        """Return a line that says what there is."""
        pictures = sum(map(len, self.groups))
        return (
            f"{len(self.uchen)} uchen, {len(self.cursive)} cursive, {len(self.latin)} Latin and {len(self.chinese)} "
            f"Chinese fonts, {sum(map(len, self.texts)) / 1e6:.1f} M letters of text, {pictures} line pictures"
        )

    def block_print(self, rng: np.random.Generator) -> Hand:
        """A hand for a block print: real pictures where there are any, or an uchen font."""
        if self.groups and (rng.random() < 0.6 or not self.uchen):
            weights = np.sqrt([len(group) for group in self.groups])
            for group in rng.choice(len(self.groups), 8, p=weights / weights.sum()):
                hand = PictureHand(self.groups[int(group)], self.loaded)
                if hand.usable():
                    return hand
        return self.print(rng)

    def print(self, rng: np.random.Generator) -> Hand:
        """A hand for a modern print: an uchen font."""
        return self._tibetan(rng, self.uchen or self.latin)

    def script(self, rng: np.random.Generator) -> Hand:
        """A hand for a manuscript: a cursive font most often."""
        return self._tibetan(rng, self.cursive if self.cursive and rng.random() < 0.75 else self.uchen or self.latin)

    def western(self, rng: np.random.Generator) -> Hand:
        """A hand that writes Latin script."""
        words = rng.choice(LATIN.split(), 400)
        path = str(rng.choice(self.latin)) if self.latin else self.uchen[0]
        return FontHand(path, [" ".join(words)], " ", "nxamoehd", size=float(rng.uniform(0.6, 0.8)))

    def eastern(self, rng: np.random.Generator) -> Hand:
        """A hand that writes Chinese."""
        if not self.chinese:
            return self.western(rng)
        text = "".join(rng.choice(list(CHINESE), 300))
        return FontHand(str(rng.choice(self.chinese)), [text], "", "国学中经")

    def _tibetan(self, rng: np.random.Generator, fonts: list[str]) -> Hand:
        return FontHand(
            str(rng.choice(fonts)),
            self.texts,
            "་",
            SAMPLE,
            int(rng.choice([0, 0, 0, 1])),
            float(rng.uniform(0.85, 1.12)),
        )


def _plain(path: Path) -> str:
    """Return a text without marks of pages, and in one line."""
    letters = [letter for letter in path.read_text("utf-8") if "ༀ" <= letter <= "࿿" or letter == " "]
    return "".join(letters)[:1_500_000]


def _groups(paths: list[Path]) -> list[list[Path]]:
    """Sort pictures by volume; small volumes go together by their works."""
    volumes: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        volumes[path.name[:9]].append(path)
    works: dict[str, list[Path]] = defaultdict(list)
    for name, found in volumes.items():
        works[name if len(found) >= SMALLEST_GROUP else name[:4]].extend(found)
    return [works[name] for name in sorted(works)]
