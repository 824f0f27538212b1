"""The pages whose lines were labelled by hand (`bench/truth/`): how they are stored, read and written.

`pages.tsv` has one row for each page, `<set>.tsv` one for each of its lines in reading order, `texts.tsv` one for each
line whose text was read, too; `bench/truth/README.md` says what the columns mean.
"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from training.lines.kinds import Kind

Points: TypeAlias = NDArray[np.float64]

TRUTH = Path(__file__).with_name("truth")
SETS = ("pages_more", "pages_gt", "volumes", "odd_images")
PAGE_COLUMNS = ("sha256", "page", "width", "height", "state", "main", "counted_elsewhere", "note")
LINE_COLUMNS = ("sha256", "column", "kind", "height", "points")
LABELLED, UNCOUNTED, BROKEN = "labelled", "uncounted", "broken"
STATES = (LABELLED, UNCOUNTED, BROKEN)
"""All lines are labelled; they cannot be told apart by eye, so none is; the file is no whole picture."""
PRINTS = ("block", "hand", "type", "various")
"""Block prints; uchen written by hand; type and computers' fonts; line pictures of many volumes."""


@dataclass(frozen=True, slots=True)
class LabelledLine:
    """A line as the eye sees it, in pixels of the stored bitmap.

    Attributes:
        column: 1 for the first column that is read, 2 for the next; 1 where there are none.
        kind: what it is.
        height: distance between its upper and its lower edge.
        points: (n, 2), x and y along the middle of its letters, from its left to its right end as it stands upright;
            from above to below for upright columns.
    """

    column: int
    kind: Kind
    height: float
    points: Points


@dataclass(frozen=True, slots=True)
class LabelledPage:
    """A page and its lines in reading order.

    Attributes:
        sha256: digest of its file.
        page: path of the file below the folder of data.
        width: of the stored bitmap.
        height: of the stored bitmap.
        state: one of `STATES`.
        counted_elsewhere: main lines as another eye counted them; empty where none did.
        note: what a reader of the labels should know.
        lines: its lines.
    """

    sha256: str
    page: str
    width: int
    height: int
    state: str
    counted_elsewhere: str
    note: str
    lines: tuple[LabelledLine, ...]

    @property
    def set_name(self) -> str:
        """The set that it is of: the first folder of its path."""
        return self.page.split("/", 1)[0]

    def of_kind(self, kind: Kind) -> list[LabelledLine]:
        """Return its lines of one kind."""
        return [line for line in self.lines if line.kind is kind]


@dataclass(frozen=True, slots=True)
class LabelledText:
    """What stands in a line, read by eye.

    Attributes:
        sha256: digest of the picture's file.
        picture: its path below the folder of data.
        line: which of the labelled lines of the page, from 1; 0: the whole picture is one line.
        print: one of `PRINTS`.
        text: what was read.
    """

    sha256: str
    picture: str
    line: int
    print: str
    text: str


def digest(path: Path) -> str:
    """Return the SHA-256 digest that a page is found by."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_pages(folder: Path = TRUTH) -> list[LabelledPage]:
    """Read all labelled pages, in the order of `pages.tsv`."""
    lines: dict[str, list[LabelledLine]] = {}
    for name in SETS:
        for row in _rows(folder / f"{name}.tsv"):
            lines.setdefault(row["sha256"], []).append(_line(row))
    return [
        LabelledPage(
            sha256=row["sha256"],
            page=row["page"],
            width=int(row["width"]),
            height=int(row["height"]),
            state=row["state"],
            counted_elsewhere=row["counted_elsewhere"],
            note=row["note"],
            lines=tuple(lines.get(row["sha256"], ())),
        )
        for row in _rows(folder / "pages.tsv")
    ]


def read_texts(folder: Path = TRUTH) -> list[LabelledText]:
    """Read the texts of lines, by picture and line."""
    return [
        LabelledText(row["sha256"], row["picture"], int(row["line"]), row["print"], row["text"])
        for row in _rows(folder / "texts.tsv")
    ]


def write_pages(pages: list[LabelledPage], folder: Path = TRUTH) -> None:
    """Write all labelled pages, by set and name."""
    pages = sorted(pages, key=lambda page: (SETS.index(page.set_name), page.page))
    _write(folder / "pages.tsv", PAGE_COLUMNS, [_page_row(page) for page in pages])
    for name in SETS:
        rows = [line_row(page.sha256, line) for page in pages if page.set_name == name for line in page.lines]
        _write(folder / f"{name}.tsv", LINE_COLUMNS, rows)


def line_row(sha256: str, line: LabelledLine) -> tuple[str, ...]:
    """Return a line's row in `<set>.tsv`."""
    points = " ".join(f"{round(x)},{round(y)}" for x, y in line.points)
    return sha256, str(line.column), str(line.kind), str(round(line.height)), points


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def _line(row: dict[str, str]) -> LabelledLine:
    points = np.array([point.split(",") for point in row["points"].split()], np.float64)
    return LabelledLine(int(row["column"]), Kind(row["kind"]), float(row["height"]), points)


def _page_row(page: LabelledPage) -> tuple[str, ...]:
    main = str(len(page.of_kind(Kind.MAIN))) if page.state == LABELLED else ""
    size = str(page.width), str(page.height)
    return (page.sha256, page.page, *size, page.state, main, page.counted_elsewhere, page.note)


def _write(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    text = "".join("\t".join(row) + "\n" for row in [columns, *rows])
    path.write_text(text, encoding="utf-8", newline="\n")
