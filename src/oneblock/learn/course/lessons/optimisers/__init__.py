"""The lesson `optimisers`."""
