"""What is seen in a browser: the dashboard, the viewer of pages, IIIF; reads, and writes nothing."""
