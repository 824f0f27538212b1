"""Decoding in child processes, so that no image can take a worker down."""
