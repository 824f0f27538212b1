"""Job type `evalv1`: how good the text recognition of a volume is, with ground truth and without."""
