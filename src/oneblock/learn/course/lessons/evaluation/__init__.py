"""The lesson `evaluation`."""
