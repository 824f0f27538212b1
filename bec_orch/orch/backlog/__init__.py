"""What is to be done: volumes that are named, enqueued, taken over, and tried again."""
