"""For operators: jobs, enqueueing, discovery, checks; not needed on a worker machine."""
