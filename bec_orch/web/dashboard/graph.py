"""The graph of jobs as a drawing: each job right of those that it needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bec_orch.core.records.overview import GraphNode

BOX = (190, 58)
"""Width and height of a job's box."""
_STEP = (250, 84)
_MARGIN = 8


@dataclass(frozen=True, slots=True)
class Box:
    """A job at its place; x and y are those of its top left corner."""

    node: GraphNode
    x: int
    y: int


@dataclass(frozen=True, slots=True)
class Drawing:
    """Boxes, the curves between them as SVG writes paths, and the size of the whole."""

    boxes: Sequence[Box]
    curves: Sequence[str]
    width: int
    height: int


def drawing(nodes: Sequence[GraphNode]) -> Drawing:
    """Lay out jobs, each of which comes after those that it needs."""
    depths: dict[str, int] = {}
    for node in nodes:
        depths[node.name] = 1 + max((depths.get(name, -1) for name in node.depends_on), default=-1)
    rows: dict[int, int] = {}
    boxes: dict[str, Box] = {}
    for node in nodes:
        depth = depths[node.name]
        row = rows[depth] = rows.get(depth, -1) + 1
        boxes[node.name] = Box(node, _MARGIN + depth * _STEP[0], _MARGIN + row * _STEP[1])
    width = max((box.x for box in boxes.values()), default=0) + BOX[0] + _MARGIN
    height = max((box.y for box in boxes.values()), default=0) + BOX[1] + _MARGIN
    return Drawing(tuple(boxes.values()), _curves(boxes), width, height)


def _curves(boxes: Mapping[str, Box]) -> list[str]:
    curves = []
    for box in boxes.values():
        for name in box.node.depends_on:
            if name in boxes:
                start, end = boxes[name], box
                x, y = start.x + BOX[0], start.y + BOX[1] // 2
                to_x, to_y = end.x, end.y + BOX[1] // 2
                middle = (x + to_x) // 2
                curves.append(f"M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}")
    return curves
