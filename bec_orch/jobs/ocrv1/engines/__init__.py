"""What reads: the interface of an engine, and one module or a few for each."""
