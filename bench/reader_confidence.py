"""Plot what the recogniser `bec` says of its lines against what is right: a reliability plot.

    python -m bench.reader_confidence [--data DIR] [--out FILE.svg]

Each picture of `lines_gt` (its middle line) and of `pages_gt`, and each line whose text was read by eye, is a point:
the mean confidence of its lines, and the share of its characters that is right, by the rules of
`bench.score_recognisers`. The line joins means of as many
pictures each, the broken one is where both are the same. Prints the means.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from bench.score_recognisers import SETS, WHITE_SPACE, Bench, Read

GROUPS = 8
SIZE, RIM = 360, 44
PAPER, GRID, POINT, MEAN = "#ffffff", "#d0d0d0", "#9bb4d0", "#1f4e8c"


@dataclass(frozen=True, slots=True)
class Point:
    """What was said of a picture, or of several on the average, and which share of it is right."""

    said: float
    right: float


def point_of(read: Read) -> Point:
    """Return the point of a picture."""
    return Point(read.confidence, max(0.0, 1 - read.rate(WHITE_SPACE)))


def means(points: Sequence[Point], groups: int = GROUPS) -> list[Point]:
    """Return the means of groups of about as many points, by what was said."""
    ordered = sorted(points, key=lambda point: point.said)
    bounds = [round(place * len(ordered) / groups) for place in range(groups + 1)]
    parts = [ordered[first:last] for first, last in pairwise(bounds) if first < last]
    return [
        Point(statistics.mean(each.said for each in part), statistics.mean(each.right for each in part))
        for part in parts
    ]


def svg(points: Sequence[Point], joined: Sequence[Point]) -> str:
    """Draw points, and others joined by a line, in a square from 0 to 1."""

    def at(point: Point) -> tuple[float, float]:
        return round(RIM + point.said * SIZE, 1), round(RIM / 2 + (1 - point.right) * SIZE, 1)

    ticks = [place / 5 for place in range(6)]
    (left, top), (right, bottom) = at(Point(0, 1)), at(Point(1, 0))
    shapes = [f'<rect width="100%" height="100%" fill="{PAPER}"/>']
    for tick in ticks:
        x, y = at(Point(tick, tick))
        shapes += [
            f'<path d="M{x} {top}V{bottom}M{left} {y}H{right}" stroke="{GRID}"/>',
            f'<text x="{x}" y="{bottom + 16}" text-anchor="middle">{tick:.1f}</text>',
            f'<text x="{left - 6}" y="{y + 4}" text-anchor="end">{tick:.1f}</text>',
        ]
    shapes.append(f'<path d="M{left} {bottom}L{right} {top}" stroke="#777" stroke-dasharray="5 4"/>')
    shapes += ['<circle cx="{}" cy="{}" r="3" fill="{}"/>'.format(*at(point), POINT) for point in points]
    line = "L".join("{} {}".format(*at(point)) for point in joined)
    shapes.append(f'<path d="M{line}" fill="none" stroke="{MEAN}" stroke-width="2"/>')
    shapes += ['<circle cx="{}" cy="{}" r="4" fill="{}"/>'.format(*at(point), MEAN) for point in joined]
    shapes.append(f'<text x="{(left + right) / 2}" y="{bottom + 34}" text-anchor="middle">confidence</text>')
    shapes.append(f'<text x="{left + 8}" y="{top + 18}">share of characters that is right</text>')
    width, height = SIZE + RIM + RIM / 2, SIZE + RIM / 2 + RIM
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif"'
    return "\n".join([f'{head} font-size="12">', *shapes, "</svg>", ""])


def main(arguments: list[str] | None = None) -> int:
    """Read all pictures, print the means, and draw the plot."""
    root = Path(__file__).parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "docs" / "images" / "reader-confidence.svg")
    options = parser.parse_args(arguments)
    bench = Bench(options.data)
    points: list[Point] = []
    for name in SETS:
        reads, _ = bench.reader(name)("bec")
        points += [point_of(read) for read in reads]
    joined = means(points)
    print(
        f"{len(points)} pictures; said and right: " + ", ".join(f"{each.said:.2f} {each.right:.2f}" for each in joined)
    )
    options.out.write_text(svg(points, joined), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
