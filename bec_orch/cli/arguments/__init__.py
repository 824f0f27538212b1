"""What several commands take: options, names that complete themselves, the answer to a question."""
