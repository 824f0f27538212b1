"""The command line: parse, call, print; and the composition root that builds the real parts."""
