"""Reads PAGE documents with the library of OCR-D (https://ocr-d.de), and prints their lines as JSON."""

import json
import sys
from typing import Any

from ocrd_models.ocrd_page import parse


def points(text: str) -> list[list[int]]:
    """Read points as PAGE writes them."""
    return [[int(value) for value in point.split(",")] for point in text.split()]


def line(found: Any) -> dict[str, Any]:
    """Return a line."""
    baseline, texts = found.get_Baseline(), found.get_TextEquiv()
    return {
        "text": texts[0].get_Unicode() if texts else None,
        "polygon": points(found.get_Coords().get_points()),
        "baseline": points(baseline.get_points()) if baseline else [],
    }


def page(path: str) -> dict[str, Any]:
    """Return a page with its lines, in reading order."""
    found = parse(path, silence=True).get_Page()
    lines = found.get_AllTextLines(region_order="reading-order")
    return {"image": found.get_imageFilename(), "lines": [line(one) for one in lines]}


json.dump([page(path) for path in sys.argv[1:]], sys.stdout)
