"""The heart: values, ports and the life of a task; knows nothing of any database, store or model."""
