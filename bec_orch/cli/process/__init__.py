"""The process that a command is: its signals, its limits, what was said before the command."""
