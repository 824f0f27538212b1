"""All that is looked at: what the views ask for what they show."""
