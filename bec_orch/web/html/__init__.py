"""How answers are written: pages of HTML, tables as HTML, JSON and CSV, and errors."""
