"""The doctor: checks of the surroundings of a worker, each with what to do when it fails."""
