"""The lesson: Efficient attention."""
