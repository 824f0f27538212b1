"""Reads hOCR documents with archive-hocr-tools of the Internet Archive, and prints their lines as JSON."""

import json
import re
import sys
from typing import Any

from hocr.parse import hocr_page_iterator, hocr_page_to_word_data


def lines(found: Any) -> list[dict[str, Any]]:
    """Return the lines of a page: what each says, and its box."""
    every = (line for paragraph in hocr_page_to_word_data(found) for line in paragraph["lines"])
    return [{"text": " ".join(word["text"] for word in line["words"]), "box": line["bbox"]} for line in every]


def page(path: str) -> dict[str, Any]:
    """Return a page with its lines."""
    for found in hocr_page_iterator(path):
        image = re.search('image "([^"]*)"', found.attrib["title"])
        return {"image": image[1] if image else "", "lines": lines(found)}
    return {"image": "", "lines": []}


json.dump([page(path) for path in sys.argv[1:]], sys.stdout)
