"""What page jobs have in common: the page pipeline, image decoding, model sessions, geometry."""
