"""The lesson `data`."""
