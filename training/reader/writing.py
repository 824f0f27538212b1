"""What is written on composed lines: text of books, syllables in any order, stacks that no book has.

Half of the lines are runs of real text, so that the network learns what usually follows what. The others teach it to
read what stands there: without them it writes the likely word for the seen one.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.reader.symbols import written

_PAGE_MARKS = re.compile(r"\[[^\]]*\]|\{[^}]*\}")
STACK = re.compile("[ཀ-ཬ][ཱ-྇ྍ-ྼ༹]*|.")
"""One letter with all that stands above and below it, or one sign."""
HEADS = "ཀཁགངཅཆཇཉཊཋཌཎཏཐདནཔཕབམཙཚཛཝཞཟའཡརལཤཥསཧཨ"
BELOW = "ྐྒྔྕྗྙྚྜྞྟྡྣྤྦྨྩྫྭྱྲླྴྵྶྷ"
ABOVE = ("", "", "ི", "ེ", "ོ", "ཻ", "ཽ", "ྀ")
ENDS = ("", "", "", "ཾ", "ཿ", "ྃ")
DIGITS, DIGITS_OF_BOOKS = "༠༡༢༣༤༥༦༧༨༩", "0123456789"
NUMBERS = 0.04
"""Share of the lines that are a page's number and nothing else."""
ENTRIES = 0.03
"""Share of the lines that are entries of a table of contents."""
LEADER = "…"
"""Stands for a row of dots."""
BRACKETS = (("", ""), ("(", ")"), ("[", "]"))
KINDS = ("text", "syllables", "stacks")
SHARES = (0.5, 0.3, 0.2)
"""Of runs of text, of its syllables in any order, and of random stacks."""
LONGEST_RUN = 6
"""Code points that a stack takes on the average, generously: a run is cut out of the text as so many a stack."""


def stacks_of(text: str) -> list[str]:
    """Part a text into its stacks and signs."""
    return STACK.findall(text)


@dataclass(frozen=True, slots=True)
class Writing:
    """Writes lines.

    Attributes:
        texts: texts of books, as `written`.
        syllables: their distinct syllables.
        stacks: their distinct stacks.
    """

    texts: Sequence[str]
    syllables: Sequence[str]
    stacks: Sequence[str]

    @classmethod
    def of(cls, paths: Sequence[Path]) -> "Writing":
        """Read the texts: marks of pages and lines in brackets are no text."""
        texts = [plain(path.read_text("utf-8-sig")) for path in paths]
        syllables = Counter(each for text in texts for each in re.split("[་། ]+", text))
        stacks = Counter(stack for syllable in syllables for stack in stacks_of(syllable))
        return cls(texts, sorted(each for each in syllables if 0 < len(each) < 12), sorted(stacks))

    def line(self, rng: np.random.Generator, count: int, kind: str | None = None) -> list[str]:
        """Write about `count` stacks, of a kind or of any, as a list of them."""
        if kind is None and rng.random() < NUMBERS:
            return list(_number(rng))
        if kind is None and rng.random() < ENTRIES:
            return self._entry(rng, count)
        by_kind = dict(zip(KINDS, (self._run, self._shuffled, self._stacks), strict=True))
        write = by_kind[kind or KINDS[int(rng.choice(len(KINDS), p=SHARES))]]
        return stacks_of(_signed(rng, write(rng, count)))[:count]

    def _run(self, rng: np.random.Generator, count: int) -> str:
        text = self.texts[int(rng.integers(len(self.texts)))]
        start = text.find("་", int(rng.integers(max(1, len(text) - LONGEST_RUN * count)))) + 1
        return text[start : start + LONGEST_RUN * count]

    def _entry(self, rng: np.random.Generator, count: int) -> list[str]:
        """Write an entry of a table of contents: its title, a leader, and most often a number, bare or in brackets."""
        title = stacks_of(self._run(rng, count))[: int(rng.integers(4, max(5, count // 2)))]
        before, after = BRACKETS[int(rng.integers(len(BRACKETS)))]
        number = [before, *_number(rng), after] if rng.random() < 0.8 else []
        return [*title, LEADER, *filter(None, number)]

    def _shuffled(self, rng: np.random.Generator, count: int) -> str:
        """Set syllables side by side: every other as often as they are, the rest all as often."""
        out = []
        for _ in range(count // 2 + 1):
            word = self.syllables[int(rng.integers(len(self.syllables)))]
            if rng.random() < 0.5:
                word = self._run(rng, 4).split("་", 1)[0]
            out.append(word + _between(rng))
        return "".join(out)

    def _stacks(self, rng: np.random.Generator, count: int) -> str:
        """Set stacks side by side, known ones and made ones, and numbers."""
        out: list[str] = []
        while len(out) < count:
            if rng.random() < 0.08:
                out += _number(rng)
            for _ in range(int(rng.integers(1, 5))):
                known = rng.random() < 0.7
                out.append(self.stacks[int(rng.integers(len(self.stacks)))] if known else made_stack(rng))
            out.append(_between(rng))
        return "".join(out)


def plain(text: str) -> str:
    """Return a book's text as one line: its own lines end anywhere."""
    return written(_PAGE_MARKS.sub("", text).replace("\n", ""))


def made_stack(rng: np.random.Generator) -> str:
    """Put a stack together as Sanskrit in Tibetan script does."""
    below = "".join(rng.choice(list(BELOW), int(rng.choice([0, 1, 1, 2]))))
    long = "ཱ" if rng.random() < 0.2 else ""
    foot = "ུ" if rng.random() < 0.2 else ""
    above = "" if foot else str(rng.choice(ABOVE))
    return written(str(rng.choice(list(HEADS))) + below + long + above + foot + str(rng.choice(ENDS)))


def _number(rng: np.random.Generator) -> str:
    digits = DIGITS if rng.random() < 0.5 else DIGITS_OF_BOOKS
    return "".join(rng.choice(list(digits), int(rng.integers(1, 5))))


def _between(rng: np.random.Generator) -> str:
    """Return what stands between two syllables."""
    chance = rng.random()
    return "་" if chance < 0.86 else "། །" if chance < 0.92 else "། " if chance < 0.97 else "།།"


def _signed(rng: np.random.Generator, text: str) -> str:
    """Write another printer's signs: other shads, closer ones, a head mark, a number in front."""
    chance = rng.random()
    if chance < 0.06:
        text = text.replace("།", "༔")
    elif chance < 0.09:
        text = text.replace("། །", "༑ ")
    elif chance < 0.16:
        text = text.replace("། །", "།།")
    chance = rng.random()
    if chance < 0.06:
        return str(rng.choice(["༄༅། །", "༄༅༅། །", "༄༅།། །", "༈ ", "༅། །", "༄༅། ", "༸"])) + text
    if chance < 0.09:
        number = _number(rng)
        return str(rng.choice([f"{number} ", f"༼{number}༽ ", f"{number}། "])) + text
    return text.lstrip(" ")
