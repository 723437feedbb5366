"""The lesson `mask`: its text, its numbers, its questions."""
