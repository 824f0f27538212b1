"""A line detection network of our own: composed pages with known lines, training on them, export to ONNX."""
