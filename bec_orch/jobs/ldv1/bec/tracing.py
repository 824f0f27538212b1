"""The network's maps -> traced lines: pieces are found, cut at gutters and joined; what is no line is left out.

Coordinates are pixels of the network's maps.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from bec_orch.jobs.ldv1.bec.column_gaps import Guides, cut_at_gutters, guides_of
from bec_orch.jobs.ldv1.bec.joining import joined
from bec_orch.jobs.ldv1.bec.network_input import Bytes
from bec_orch.jobs.ldv1.bec.pieces import THRESHOLD, Piece, contrast_of, find_pieces
from bec_orch.jobs.ldv1.kinds.traced import MAP_PITCH, Floats, Traced
from bec_orch.jobs.ldv1.page.layout import Span
from bec_orch.jobs.ldv1.page.segment import weighted_quantile

SHORTEST_MAIN = 0.8
"""Main lines are longer than this many pitches."""
LEAST_CHANCE, LEAST_CHANCE_MARK = 0.78, 0.6
"""A line whose probability, the mean of its columns' best, is lower is dropped. A number is less sure than a line..."""
MARK_LENGTH = 3.0
"""... and shorter than this many pitches."""
LETTERS = 0.75
"""The contrast of a page's letters is what this share of its main text does not exceed."""
SHADOW = 0.3
"""A line whose contrast is a smaller share of that of the page's letters shines through from the other side."""
SURE_ON_PAPER, PAPER_CONTRAST = 0.9, 24
"""A line that is less sure, and has less contrast, is the paper's texture."""
END_SURE, END_MOST, END_SHARE = 0.95, 1.0, 0.05
"""A line's ends are cut back to where it is as sure as this, by at most so many pitches and this share of its length:
cores reach into a frame."""
BLEED = 0.15
"""A line is then drawn this many pitches longer at both ends."""
THINNEST = 0.3
"""A line is drawn at least this many pitches high."""
SPACE = 1.0
"""A space within a line is wider than this many pitches."""


def trace(maps: Floats, grey: Bytes) -> list[Traced]:
    """Trace the level lines of a page, from above to below.

    Whether there is text, and of which kind, are two questions: text that may be either is still text.

    Args:
        maps: the network's maps (6, H, W), in the order of `OUTPUTS`.
        grey: the picture that they are of.
    """
    guides = guides_of(maps)
    contrast = contrast_of(grey, maps.shape[1:])
    found = find_pieces(maps, contrast, guides.gap)
    if not found:
        return []
    pieces, guides = cut_at_gutters(found, guides)
    lines = [line for main in (True, False) for line in _lines(pieces, guides, contrast, main=main)]
    return sorted(_without_shadows(lines), key=lambda line: line.middle)


def _lines(pieces: Sequence[Piece], guides: Guides, contrast: Bytes, *, main: bool) -> Iterator[Traced]:
    """Yield the lines of main or of other text that are long enough, and sure enough."""
    shortest = SHORTEST_MAIN if main else 0.0
    for chain in joined([piece for piece in pieces if piece.is_main == main], guides):
        if sum(piece.length for piece in chain) >= shortest * MAP_PITCH:
            line = _line(chain, contrast)
            is_mark = not main and line.length < MARK_LENGTH * MAP_PITCH
            if line.chance >= (LEAST_CHANCE_MARK if is_mark else LEAST_CHANCE):
                yield line


def _without_shadows(lines: Sequence[Traced]) -> list[Traced]:
    """Return the lines without those that only shine through the paper, or are its own texture."""
    if not lines:
        return []
    main = [line for line in lines if line.is_main] or lines
    letters = weighted_quantile([line.contrast for line in main], [line.length + 1 for line in main], LETTERS)
    return [
        line
        for line in lines
        if line.contrast >= SHADOW * letters and (line.chance >= SURE_ON_PAPER or line.contrast >= PAPER_CONTRAST)
    ]


def _trimmed(piece: Piece, *, right: bool) -> Piece:
    """Return a piece without the columns at one end that are not sure: a line ends before the frame beside it."""
    most = min(round(END_MOST * MAP_PITCH), round(END_SHARE * piece.length))
    chance = piece.chance[::-1] if right else piece.chance
    unsure = int(np.argmax(np.append(chance[:most], 1.0) >= END_SURE))
    return piece.part(slice(0, piece.length - unsure) if right else slice(unsure, None))


def _line(chain: Sequence[Piece], contrast: Bytes) -> Traced:
    """Return pieces as one line; in gaps it runs straight from one to the next."""
    chain = [*chain[:-1], _trimmed(chain[-1], right=True)]
    chain = [_trimmed(chain[0], right=False), *chain[1:]]
    columns = np.concatenate([piece.x for piece in chain])
    order = np.argsort(columns, kind="stable")
    known = columns[order].astype(np.float32)
    x = np.arange(known[0], known[-1] + 1, dtype=np.float32)
    y, top, bottom = (
        np.interp(x, known, np.concatenate([getattr(piece, name) for piece in chain])[order]).astype(np.float32)
        for name in ("y", "top", "bottom")
    )
    chances = np.concatenate([piece.chance for piece in chain])
    seen = chances[chances > THRESHOLD]
    sure = float(seen.mean()) if len(seen) else 0.0
    half = np.float32(THINNEST * MAP_PITCH / 2)
    level = float(np.median(np.concatenate([contrast[np.round(piece.y).astype(int), piece.x] for piece in chain])))
    edges = np.minimum(top, y - half), np.maximum(bottom, y + half)
    return Traced(x, y, *edges, sure, chain[0].is_main, level, tuple(_spaces(known)))


def _spaces(known: Floats) -> Iterator[Span]:
    """Yield from where to where no column is known that is text, where that is wide."""
    for before in np.flatnonzero(np.diff(known) > SPACE * MAP_PITCH):
        yield float(known[before]), float(known[before + 1])
