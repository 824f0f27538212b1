"""`bec import`: from documents back to results of a job."""
