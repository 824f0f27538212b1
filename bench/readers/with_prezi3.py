"""Reads IIIF manifests with iiif-prezi3, which refuses what Presentation 3 does not allow, and prints their texts."""

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from iiif_prezi3 import Manifest


def page(canvas: Any) -> dict[str, Any]:
    """Return a page with the texts of its lines."""
    picture = canvas.items[0].items[0].body.id
    lines = [one for found in canvas.annotations or () for one in found.items or ()]
    texts = [one.body.value for one in lines if one.motivation == "supplementing"]
    return {"image": unquote(picture.rpartition("/")[2]), "lines": [{"text": text} for text in texts]}


manifests = [Manifest.model_validate_json(Path(path).read_text("utf-8")) for path in sys.argv[1:]]
json.dump([page(canvas) for manifest in manifests for canvas in manifest.items], sys.stdout)
