"""The lesson `failure`: its text, its numbers, its questions."""
