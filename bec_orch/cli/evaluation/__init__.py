"""`bec eval`: the report of a job over all of its volumes."""
