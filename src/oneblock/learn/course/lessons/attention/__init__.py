"""The lesson: Attention."""
