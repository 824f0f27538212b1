"""The composition root: builds the real parts from the settings, and hands them to what uses them."""
