"""Compose pages with known lines: from a seed and the number of the page, always the same.

python -m training.lines.compose --out DIR --pages 2400 --seed 1 [--data DIR] [--processes 16]
"""

import argparse
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from bec_orch.jobs.ldv1.bec.network_input import PITCH, STRIDE
from training.lines import book, pecha
from training.lines.kinds import Kind, Page
from training.lines.material import Material
from training.lines.seen import contrast, still_seen
from training.lines.sheet import Sheet
from training.lines.targets import Targets, targets
from training.lines.warping import Warp, on_its_side, shrunk
from training.shared import DATA, Bytes, Floats
from training.wear import Medium, bound, inked, kept, laid, on_ground, paper, scanned

PITCH_SPREAD = 0.17
TEXTLESS_SPREAD = 0.6
"""Pages without lines show no pitch, and are read at several: they are composed over a wide spread of scales."""
TYPICAL_PITCH = 33.0
"""What is taken for the pitch of a sheet that has too few lines to show it."""
CROPS = {"wide": (256, 640), "high": (416, 384)}
CROPS_A_PAGE = 3
OVERHANG = 0.5
"""Crops are drawn over a page that is larger by this share of a crop at each side, and moved into it.

Numbers, heads and margins stand at the edges: without this the last pixel would be in one crop of some hundred.
"""
SHARD = 240

Layout = Callable[[np.random.Generator, Material], Sheet]
LAYOUTS: dict[str, tuple[float, Layout]] = {
    "block print": (0.25, pecha.block_print),
    "manuscript": (0.17, pecha.manuscript),
    "stacked leaves": (0.05, pecha.stacked),
    "title leaf": (0.05, pecha.title_leaf),
    "modern": (0.2, book.modern),
    "western": (0.06, book.western),
    "eastern": (0.03, book.eastern),
    "poem": (0.03, book.poem),
    "columns": (0.12, book.columns),
    "spread": (0.12, book.spread),
    "contents": (0.03, book.contents),
    "title page": (0.05, book.title_page),
    "plate": (0.03, book.plate),
    "blank": (0.06, book.blank),
    "upright columns": (0.01, book.upright_columns),
}
TEXTLESS = ("plate", "blank")
FEW_LINES = (*TEXTLESS, "title leaf", "title page")
BEHIND = 0.08
BEHIND_FEW_LINES = 0.35
"""Share of the pages through which quite another page shines. It shows most where little is written."""
SIDEWAYS = 0.015
TRIMMED = 0.3
LEAST_RIM, MOST_RIM = 1.0, 12.0
"""A trimmed page ends this many pixels outside of its outermost lines, at the network's scale."""
ON_GROUND = 0.25


def composed(seed: int, number: int, material: Material) -> Page:
    """Compose a page."""
    rng = np.random.default_rng((seed, number))
    name, sheet = _sheet(rng, material)
    pitch = pitch_of(sheet)
    shines = rng.random() < (BEHIND_FEW_LINES if name in FEW_LINES else BEHIND)
    page = worn(rng, sheet, name, pitch, _sheet(rng, material)[1] if shines else None)
    spread = TEXTLESS_SPREAD if name in TEXTLESS else PITCH_SPREAD
    page = shrunk(page, PITCH / pitch * float(np.exp(rng.normal(0, spread))))
    if rng.random() < TRIMMED:
        page = trimmed(rng, page)
    if rng.random() < SIDEWAYS:
        page = on_its_side(page, clockwise=bool(rng.random() < 0.5))
    return page


def _sheet(rng: np.random.Generator, material: Material) -> tuple[str, Sheet]:
    names = list(LAYOUTS)
    weights = np.array([LAYOUTS[name][0] for name in names])
    name = names[int(rng.choice(len(names), p=weights / weights.sum()))]
    return name, LAYOUTS[name][1](rng, material)


def pitch_of(sheet: Sheet) -> float:
    """Return the usual distance from a main line of a sheet to the next one below it."""
    spans = [
        (float(line.pieces[0].centre[0, 0]), float(line.pieces[-1].centre[-1, 0]), float(line.pieces[0].centre[0, 1]))
        for line in sheet.lines
        if line.kind is Kind.MAIN
    ]
    steps = []
    for left, right, row in spans:
        below = [y - row for start, end, y in spans if start < right and end > left and y > row + TYPICAL_PITCH / 3]
        steps += [min(below)] if below else []
    if len(steps) < 2:
        bodies = [line.body for line in sheet.lines]
        return 1.8 * float(np.median(bodies)) if bodies else TYPICAL_PITCH
    return float(np.median(steps))


def worn(rng: np.random.Generator, sheet: Sheet, name: str, pitch: float, behind: Sheet | None = None) -> Page:
    """Make a scan of a sheet: its wear, what shines through, and the bend of the page with its lines."""
    medium = Medium.drawn(rng)
    ink = inked(rng, sheet.ink, medium.worn)
    base = paper(rng, sheet.height, sheet.width, medium)
    if sheet.spine is not None:
        base = bound(rng, base, sheet.spine)
    grey = scanned(rng, ink, base, medium, None if behind is None else repeated(behind.ink, sheet.height, sheet.width))
    grey, right, down = laid(rng, grey, medium), 0, 0
    if not medium.bitonal and rng.random() < ON_GROUND:
        grey, right, down = on_ground(rng, grey, medium)
    height, width = grey.shape
    warp = Warp.drawn(rng, width, height, lean=rng.choice([0.15, 0.5, 1.2]), bend=rng.choice([0.5, 2, 7]))
    grey = kept(rng, warp.bent(grey, medium.ground), medium)
    shift = np.array([right, down], np.float32)
    written = np.zeros_like(grey)
    written[down : down + sheet.height, right : right + sheet.width] = sheet.ink
    seen = contrast(grey, warp.bent(written, 0))
    lines = [still_seen(line.changed(lambda points: warp.moved(points + shift)), seen) for line in sheet.lines]
    gaps = tuple(warp.moved(gap + shift) for gap in sheet.gaps)
    return Page(grey, tuple(line for line in lines if line), gaps, pitch, name)


def repeated(ink: Bytes, height: int, width: int) -> Floats:
    """Return ink, 0 to 1, cut or repeated to a size."""
    rows, columns = np.arange(height) % ink.shape[0], np.arange(width) % ink.shape[1]
    return np.asarray(ink[np.ix_(rows, columns)] / np.float32(255), np.float32)


def trimmed(rng: np.random.Generator, page: Page) -> Page:
    """Cut a page close to its outermost lines on most sides, as scans of books often are."""
    if not page.lines:
        return page
    edges = [edge for line in page.lines for piece in line.pieces for edge in (piece.centre, piece.top, piece.bottom)]
    points = np.concatenate(edges)
    rims = np.where(rng.random(4) < 0.7, rng.uniform(LEAST_RIM, MOST_RIM, 4), np.inf)
    height, width = page.grey.shape
    left, top = (int(each) for each in np.clip(points.min(axis=0) - rims[:2], 0, None))
    right, bottom = (int(each) for each in np.clip(points.max(axis=0) + rims[2:], None, (width, height)))
    shift = np.array([left, top], np.float32)
    return replace(
        page,
        grey=np.ascontiguousarray(page.grey[top:bottom, left:right]),
        lines=tuple(line.changed(lambda points: points - shift) for line in page.lines),
        gaps=tuple(gap - shift for gap in page.gaps),
    )


def crops(rng: np.random.Generator, page: Page, shape: tuple[int, int], count: int) -> list[tuple[Bytes, Targets]]:
    """Cut crops of one shape out of a page; a smaller page is repeated at its edges as the network's input is."""
    height, width = shape
    drawn, grey = targets(page), page.grey
    down, across = max(0, height - grey.shape[0]), max(0, width - grey.shape[1])
    grey = np.asarray(cv2.copyMakeBorder(grey, 0, down, 0, across, cv2.BORDER_REPLICATE), np.uint8)
    out = []
    for _ in range(count):
        y, x = (_start(rng, room - side, side) for room, side in zip(grey.shape, shape, strict=True))
        maps = [_cut(each, y // STRIDE, x // STRIDE, height // STRIDE, width // STRIDE) for each in maps_of(drawn)]
        out.append((grey[y : y + height, x : x + width], Targets(*maps)))
    return out


def _start(rng: np.random.Generator, most: int, side: int) -> int:
    """Return where a crop begins, a multiple of `STRIDE` from 0 to `most`: the first and the last are drawn often."""
    start = rng.uniform(-OVERHANG * side, most + OVERHANG * side)
    return STRIDE * int(np.clip(start, 0, most) // STRIDE)


def maps_of(drawn: Targets) -> tuple[Bytes, ...]:
    """Return the maps in their order."""
    return drawn.core, drawn.top, drawn.bottom, drawn.gap


def _cut(image: Bytes, y: int, x: int, height: int, width: int) -> Bytes:
    out = np.zeros((height, width), np.uint8)
    part = image[y : y + height, x : x + width]
    out[: part.shape[0], : part.shape[1]] = part
    return out


def packed(drawn: Targets) -> Bytes:
    """Put the maps into three bytes a pixel: core with the gap as a flag, top, bottom."""
    return np.stack([drawn.core | drawn.gap << 2, drawn.top, drawn.bottom])


def write_shards(out: Path, seed: int, shards: Iterable[int], material: Material) -> None:
    """Compose pages into files of crops of one shape each; what is there already is left."""
    out.mkdir(parents=True, exist_ok=True)
    per_shard = SHARD // CROPS_A_PAGE
    for shard in shards:
        shape = "high" if shard % 3 == 2 else "wide"
        path = out / f"{seed:02d}-{shard:04d}-{shape}.npz"
        if path.exists():
            continue
        started = time.monotonic()
        rng = np.random.default_rng((seed, shard, 7))
        cut = []
        for number in range(shard * per_shard, (shard + 1) * per_shard):
            cut += crops(rng, composed(seed, number, material), CROPS[shape], CROPS_A_PAGE)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(file, grey=np.stack([grey for grey, _ in cut]), maps=np.stack([packed(maps) for _, maps in cut]))
        partial.rename(path)
        print(f"{path.name}: {len(cut)} crops, {(time.monotonic() - started) / per_shard:.3f} s a page", flush=True)


def write_part(out: Path, seed: int, pages: int, data: Path, parts: int, part: int) -> None:
    """Compose every `parts`-th file, with material of its own: what one process of several does."""
    cv2.setNumThreads(1)
    material = Material.of(data)
    if part == 0:
        print(material.found(), flush=True)
    write_shards(out, seed, range(part, -(-pages * CROPS_A_PAGE // SHARD), parts), material)


def main() -> None:
    """Compose as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the crops, outside of the checkout")
    parser.add_argument("--pages", type=int, default=2400)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=DATA, help="folder with line_images and fonts_text")
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    parts = options.processes
    write = partial(write_part, options.out, options.seed, options.pages, options.data, parts)
    if parts == 1:
        write(0)
        return
    with ProcessPoolExecutor(parts) as pool:
        list(pool.map(write, range(parts)))


if __name__ == "__main__":
    main()
