"""The lesson `stacks`: its text, its numbers, its questions."""
