"""`bec jobs`: what a job is, how far it is, and what hangs on it."""
