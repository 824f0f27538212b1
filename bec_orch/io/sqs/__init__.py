"""SQS: the queue of a fleet, a queue and a dead-letter queue for each job."""
