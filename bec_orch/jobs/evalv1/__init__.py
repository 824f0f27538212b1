"""Job type `evalv1`: tells how good the text recognition of a volume is, with ground truth and without."""
