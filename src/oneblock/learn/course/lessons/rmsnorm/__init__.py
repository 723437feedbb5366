"""The lesson rmsnorm: a norm without a mean."""
