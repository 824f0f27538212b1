"""The audit: whether manifest, files, `success.json` and database agree, and what mends it."""
