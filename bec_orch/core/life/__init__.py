"""The life of a task: received, claimed, resolved, computed and published by a worker."""
