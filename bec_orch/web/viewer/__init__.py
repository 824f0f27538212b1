"""The viewer: pages of a volume with what a job found on them, and how that differs from other texts."""
