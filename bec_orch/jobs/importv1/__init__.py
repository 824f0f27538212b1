"""Job type `importv1`: takes lines and text of pages from ALTO or PAGE documents."""
