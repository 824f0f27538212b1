"""`bec queue`: volumes into the queue of a job, and what became of them."""
