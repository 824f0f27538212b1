"""What is known of a page whichever model finds its lines: pitch, skew, columns, and its lines in the bitmap."""
