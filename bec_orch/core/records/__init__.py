"""What operators ask of the database: ports, and the values that they are given."""
