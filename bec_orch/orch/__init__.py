"""For operators: jobs, enqueueing, reports, audits, checks, machines, and runs on this machine."""
