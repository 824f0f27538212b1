"""Scripts that measure speed and quality; the figures in README.md and docs/figures.md come from here."""
