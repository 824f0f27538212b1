"""Cuts text lines out of pages: the straightened page, and pictures or windows of its lines."""
