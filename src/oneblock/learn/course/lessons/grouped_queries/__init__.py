"""The lesson: Grouped queries."""
