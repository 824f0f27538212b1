"""The line network of our own: how a page becomes its input, and its maps become lines."""
