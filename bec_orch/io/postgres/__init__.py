"""PostgreSQL: the truth about tasks, the queue of local mode, the embedded server, migrations."""
