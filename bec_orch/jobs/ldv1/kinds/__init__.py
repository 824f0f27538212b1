"""What kind each line of a page is, by where it stands, whatever model found it."""
