"""`bec worker`: its processes, and what they make sure of before the first task."""
