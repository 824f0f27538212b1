"""Job type `ocrv1`: reads the text of the lines that a line-detection job found."""
