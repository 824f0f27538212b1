"""Documents of what jobs read: text, ALTO, PAGE, hOCR, IIIF, JSON lines, PDF; and from ALTO and PAGE back."""
