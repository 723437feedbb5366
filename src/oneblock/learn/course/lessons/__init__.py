"""The lessons, a folder each: `lesson.md`, `reference.md`, `numbers.py`, `questions.toml`."""
