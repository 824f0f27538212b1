"""What a task leaves: Parquet, part files, `success.json`."""
