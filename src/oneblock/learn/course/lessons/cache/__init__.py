"""The lesson `cache`: its text, its numbers, its questions."""
