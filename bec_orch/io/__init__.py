"""The outside world: one folder per outside thing, each implementing a port of the heart."""
