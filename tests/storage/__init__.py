"""The storage layer, on both databases."""
