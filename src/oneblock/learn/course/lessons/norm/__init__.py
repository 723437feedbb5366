"""The lesson: The norm."""
