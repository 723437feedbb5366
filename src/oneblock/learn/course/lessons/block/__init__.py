"""The lesson `block`: its text, its numbers, its questions."""
