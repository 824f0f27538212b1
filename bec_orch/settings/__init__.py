"""Settings: read from the environment and `.env`, with where each came from; and how a process logs by them."""
