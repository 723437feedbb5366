"""The lesson: The feed-forward."""
