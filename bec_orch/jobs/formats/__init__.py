"""Reading page images: strict decoders of each format, from the header to the pixels."""
