"""`bec doctor` and `bec audit`: whether the surroundings are good, and whether the books agree."""
