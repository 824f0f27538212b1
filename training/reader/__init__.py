"""A recogniser of Tibetan print, trained on composed pictures of lines alone: see README.md beside it."""
