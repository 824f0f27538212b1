"""Reads ALTO and PAGE documents with kraken (https://kraken.re), and prints their lines as JSON."""

import json
import sys
from pathlib import Path
from typing import Any

from kraken.lib.xml import XMLPage


def page(path: str) -> dict[str, Any]:
    """Return a page with its lines, in reading order; why, where kraken takes no such document."""
    try:
        found = XMLPage(path)
    except ValueError as error:
        return {"document": Path(path).stem, "refused": str(error)}
    lines = [
        {"text": line.text, "polygon": line.boundary or [], "baseline": line.baseline or []}
        for line in found.get_sorted_lines()
    ]
    return {"image": Path(found.imagename).name, "lines": lines}


json.dump([page(path) for path in sys.argv[1:]], sys.stdout)
