"""`bec config` and `bec db`: the settings, and the schema of the database."""
