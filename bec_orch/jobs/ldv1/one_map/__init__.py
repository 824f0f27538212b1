"""Lines from one map of where lines are: PP-OCR's model, and those that the library published."""
