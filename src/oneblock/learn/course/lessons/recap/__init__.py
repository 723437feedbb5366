"""The lesson `recap`: its text, its numbers, its questions."""
