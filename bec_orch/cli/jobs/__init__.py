"""`bec jobs` and `bec errors`: what a job is, how far it is, and what failed in it."""
