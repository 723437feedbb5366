"""The lesson `distribution`."""
