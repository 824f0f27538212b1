"""`bec serve` and `bec view`: the dashboard and the viewer, in a browser."""
