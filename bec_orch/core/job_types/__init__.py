"""Job types by their name, with what they show, and the versions of the folders that their results depend on."""
