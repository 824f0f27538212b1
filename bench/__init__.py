"""Scripts that measure speed and quality; figures in the README come from here."""
