"""Where things stand: figures, graphs, reports, and pages that failed."""
