"""`bec run`, `bec run-volume` and `bec demo`: a job over scans, on this machine."""
