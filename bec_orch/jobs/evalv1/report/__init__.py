"""The report over the evaluations of all volumes of a job."""
