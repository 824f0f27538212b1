"""`bec worker` and `bec workers`: its processes, and what each is at."""
