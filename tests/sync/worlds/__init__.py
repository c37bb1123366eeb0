"""The worlds: one module for each kind of provider, with a person who works there."""
