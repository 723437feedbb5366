"""The lesson `debugging`."""
