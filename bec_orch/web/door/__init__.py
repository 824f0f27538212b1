"""The door: who may ask, for what, and what every answer carries."""
