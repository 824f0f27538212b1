"""The process that a command is: its signals, its limits, its exit code."""
