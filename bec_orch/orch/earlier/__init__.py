"""Moving in from the earlier system: its jobs, volumes and finished work, taken over from its database."""
