"""The lesson `residual`: its text, its numbers, its questions."""
