"""From the output of a CTC network to text: paths, a language model, and both together."""
