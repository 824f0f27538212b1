"""Finds the lines of pages with kraken's own segmentation (`blla`, https://kraken.re), as long as pages come.

Of each page it reads a line of JSON with its `width` and `height`, and as many bytes of grey. It answers with a line of
JSON: `outlines`, and `seconds` of CPU that it took.
"""

import json
import sys
import time

import torch
from kraken.configs import SegmentationInferenceConfig
from kraken.tasks import SegmentationTaskModel
from PIL import Image

torch.set_num_threads(1)
model, config = SegmentationTaskModel.load_model(), SegmentationInferenceConfig()
for head in iter(sys.stdin.buffer.readline, b""):
    size = json.loads(head)
    grey = sys.stdin.buffer.read(size["width"] * size["height"])
    page = Image.frombytes("L", (size["width"], size["height"]), grey).convert("RGB")
    started = time.process_time()
    found = model.predict(page, config)
    seconds = time.process_time() - started
    outlines = [line.boundary for line in found.lines if line.boundary]
    print(json.dumps({"outlines": outlines, "seconds": seconds}), flush=True)
