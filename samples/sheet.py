"""A flat page being written: masks of ink, and every line noted as it is written."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Floats = NDArray[np.floating[Any]]

# Of the em, above and below the baseline: the band of a line, so that the bands of close lines do not overlap.
BAND_ABOVE, BAND_BELOW = 0.95, 0.5
SAMPLE_STEP = 100  # pixels between the points of a baseline
FORMULA_SHARE = 0.25  # of the sentences

FORMULAS = (
    "བཀྲ་ཤིས་བདེ་ལེགས་ཕུན་སུམ་ཚོགས",
    "སངས་རྒྱས་ཆོས་དང་ཚོགས་ཀྱི་མཆོག་རྣམས་ལ",
    "བྱང་ཆུབ་བར་དུ་བདག་ནི་སྐྱབས་སུ་མཆི",
    "ཨོཾ་མ་ཎི་པདྨེ་ཧཱུྃ",
    "སེམས་ཅན་ཐམས་ཅད་བདེ་བ་དང་ལྡན་པར་གྱུར་ཅིག",
    "སྡུག་བསྔལ་དང་བྲལ་བར་གྱུར་ཅིག",
    "རྒྱ་གར་སྐད་དུ",
    "བོད་སྐད་དུ",
    "དུས་གསུམ་སངས་རྒྱས་ཐམས་ཅད་ལ་ཕྱག་འཚལ་ལོ",
)
SUBJECTS = (
    *("རྒྱལ་པོ་དེས", "བླ་མ་རྣམས་ཀྱིས", "དགེ་སློང་དག་གིས", "སློབ་མ་རྣམས་ཀྱིས", "ཡབ་ཡུམ་གཉིས་ཀྱིས", "མཁས་པ་དག་གིས"),
    *("བྲམ་ཟེ་ཞིག་གིས", "ཚོང་དཔོན་ཆེན་པོས", "སྨན་པ་རྣམས་ཀྱིས", "འབྲོག་པ་རྣམས་ཀྱིས", "ལོ་ཙཱ་བ་ཆེན་པོས"),
)
PLACES = (
    *("གངས་རིའི་མདུན་དུ", "མཚོ་ཆེན་པོའི་འགྲམ་དུ", "ནགས་ཚལ་གྱི་ནང་ན", "གྲོང་ཁྱེར་ཆེན་པོ་ན", "དབེན་པའི་གནས་སུ"),
    *("སྔ་དྲོ་ཉི་ཤར་དུས", "དབྱར་ཟླ་གསུམ་གྱི་བར་དུ", "བྱང་ཕྱོགས་ཀྱི་ལམ་ནས", "གཙུག་ལག་ཁང་དུ", "རྒྱ་མཚོའི་ཕ་རོལ་ན"),
)
OBJECTS = (
    *("རིན་པོ་ཆེ་སྣ་བདུན", "དཔེ་ཆ་གསར་པ་ཞིག", "མེ་ཏོག་པདྨ་དཀར་པོ", "བསླབ་པའི་རིམ་པ", "སྐར་མའི་རྒྱུ་ལུགས"),
    *("སྨན་གྱི་སྦྱོར་བ", "རྒྱུད་ཀྱི་དོན", "ལྷ་ཁང་གི་རི་མོ", "ཟས་དང་གོས", "ཡི་གེའི་བྲི་ཚུལ", "བསྟན་བཅོས་ཀྱི་འགྲེལ་པ"),
)
VERBS = (
    *("བཤད་དོ", "བྲིས་སོ", "བསྒྲུབས་སོ", "ཕུལ་ལོ", "མཐོང་ངོ", "བསྒྱུར་རོ", "བཙལ་བར་བྱའོ", "བཞག་གོ"),
    *("བསླབས་ནས་རྫོགས་སོ", "སྦྱིན་པར་བྱེད་དོ", "ཤེས་པར་བྱའོ", "བརྩམས་པ་ཡིན་ནོ"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it was written: its pieces (text and box), baseline and outline, points (x, y) of the flat page."""

    block: str
    pieces: tuple[tuple[str, Floats], ...]
    baseline: Floats
    outline: Floats


@dataclass(slots=True)
class Sheet:
    """A flat page being written: the masks of its inks, and the lines noted on the way."""

    size: tuple[int, int]
    font: Path
    rng: np.random.Generator
    inks: dict[str, Image.Image] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    syllables: Iterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self.inks = {name: Image.new("L", self.size) for name in ("black", "red")}
        self.syllables = tibetan(self.rng)

    def fill(
        self,
        y: float,
        em: int,
        spans: Sequence[tuple[float, float]],
        block: str = "main",
        ink: str = "black",
        begin: str = "",
    ) -> None:
        """Write a line that runs through `spans` (left, right), flush at both ends; string holes separate spans."""
        font = self._font(em)
        pieces = []
        for left, right in spans:
            tokens = [begin] if begin else []
            begin = ""
            while sum(map(font.getlength, tokens)) + 2.2 * em < right - left:
                tokens.append(next(self.syllables))
            gap = (right - left - sum(map(font.getlength, tokens))) / max(len(tokens) - 1, 1)
            pieces.append((left, tokens, min(gap, 0.2 * em)))
        self._write(y, em, pieces, block, ink)

    def put(self, text: str, x: float, y: float, em: int, block: str = "main", ink: str = "black") -> None:
        """Write a line of its own with its middle at `x`."""
        self._write(y, em, [(x - self._font(em).getlength(text) / 2, [text], 0.0)], block, ink)

    def put_upright(self, text: str, x: float, y: float, em: int) -> None:
        """Write a margin title that reads from the foot of the page to its head, with its middle at `y`."""
        aside = Sheet((self.size[1], 4 * em), self.font, self.rng)
        aside.put(text, self.size[1] - y, 2.0 * em, em, "margin")
        self.inks["black"].paste(255, (round(x - 2 * em), 0), aside.inks["black"].transpose(Image.Transpose.ROTATE_90))
        line = aside.lines[0]

        def turned(points: Floats) -> Floats:
            return np.column_stack([points[:, 1] + x - 2 * em, self.size[1] - points[:, 0]]).astype(np.float32)

        pieces = tuple((words, turned(box)) for words, box in line.pieces)
        self.lines.append(Line("margin", pieces, turned(line.baseline), turned(line.outline)))

    def ruled(self, points: Sequence[tuple[float, float]], width: int, ink: str = "black") -> None:
        """Draw a line of a frame, not quite straight."""
        wobble = self.rng.normal(0, 0.8, (len(points), 2))
        at = [(float(x + dx), float(y + dy)) for (x, y), (dx, dy) in zip(points, wobble, strict=True)]
        ImageDraw.Draw(self.inks[ink]).line(at, fill=235, width=width, joint="curve")

    def frame(self, box: tuple[float, float, float, float], width: int, ink: str = "black") -> None:
        """Draw a frame around (left, top, right, bottom)."""
        left, top, right, bottom = box
        self.ruled([(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], width, ink)

    def circle(self, x: float, y: float, radius: float, ink: str = "black") -> None:
        """Draw the ring around a string hole."""
        box = (x - radius, y - radius, x + radius, y + radius)
        ImageDraw.Draw(self.inks[ink]).ellipse(box, outline=230, width=4)

    def _font(self, em: int) -> ImageFont.FreeTypeFont:
        return ImageFont.truetype(self.font, em, layout_engine=ImageFont.Layout.RAQM)

    def _write(self, y: float, em: int, pieces: Sequence[tuple[float, list[str], float]], block: str, ink: str) -> None:
        font, drawn = self._font(em), []
        for left, tokens, gap in pieces:
            mask = Image.new("L", self.size)
            pen, x = ImageDraw.Draw(mask), left
            for token in tokens:
                jitter = float(self.rng.normal(0, 0.012 * em))
                pen.text((x, y + jitter), token, fill=255, font=font, anchor="ls", language="bo")
                x += font.getlength(token) + gap
            self.inks[ink].paste(255, mask=mask)
            x0, y0, x1, y1 = mask.getbbox() or (0, 0, 0, 0)
            box = (x0, max(y0, y - BAND_ABOVE * em), x1, min(y1, y + BAND_BELOW * em))
            drawn.append(("".join(tokens).strip(), np.array(box, np.float32)))
        self.lines.append(noted(block, drawn, y))


def noted(block: str, drawn: Sequence[tuple[str, Floats]], y: float) -> Line:
    """The line of these pieces (text; left, top, right, bottom of its ink) on the baseline y."""
    boxes = np.stack([box for _, box in drawn])
    left, top = boxes[:, :2].min(axis=0)
    right, bottom = boxes[:, 2:].max(axis=0)
    pieces = tuple((text, outline(*box)) for text, box in drawn)
    return Line(block, pieces, along(left, right, y), outline(left, top, right, bottom))


def along(left: float, right: float, y: float) -> Floats:
    """Points from left to right, close enough to follow any bend of the page."""
    x = np.linspace(left, right, 2 + int((right - left) // SAMPLE_STEP), dtype=np.float32)
    return np.column_stack([x, np.full_like(x, y)])


def outline(left: float, top: float, right: float, bottom: float) -> Floats:
    """The points of a box, clockwise from its upper left corner."""
    return np.concatenate([along(left, right, top), along(left, right, bottom)[::-1]])


def tibetan(rng: np.random.Generator) -> Iterator[str]:
    """Syllables without end, each with the mark that follows it: made-up sentences with a formula now and then."""
    while True:
        sentence = [str(rng.choice(words)) for words in (SUBJECTS, PLACES, OBJECTS, VERBS)]
        text = str(rng.choice(FORMULAS)) if rng.random() < FORMULA_SHARE else "་".join(sentence)
        *syllables, last = text.split("་")
        yield from (syllable + "་" for syllable in syllables)
        yield last + ("" if last.endswith("ག") else "།") + " །"
