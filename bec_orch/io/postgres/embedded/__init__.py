"""The embedded PostgreSQL of local mode: one server for each home, which ends with its last user."""
