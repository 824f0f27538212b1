"""Job type `ldv1`: text line detection."""
