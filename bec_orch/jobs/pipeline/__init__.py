"""The page pipeline: from a volume's pages to its rows, several at a time, within a budget of memory."""
