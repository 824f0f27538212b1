"""The outside world: one module per outside thing, each implementing a port of the heart."""
