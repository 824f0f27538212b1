"""The dashboard: jobs, one job, one volume, workers, queues; each table as JSON and CSV, too."""
