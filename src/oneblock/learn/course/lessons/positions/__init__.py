"""The lesson: Positions."""
