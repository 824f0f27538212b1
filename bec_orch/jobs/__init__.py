"""What is done to a volume; knows nothing of SQL, queues or machines."""
