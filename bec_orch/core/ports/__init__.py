"""The ports of the heart: what it asks of a database, a queue, a store, a source and a job."""
