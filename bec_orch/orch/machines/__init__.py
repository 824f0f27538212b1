"""The machines and worker processes of a job: planned in words first, then made, shown and priced."""
