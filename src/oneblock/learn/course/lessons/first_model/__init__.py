"""The lesson `first_model`."""
