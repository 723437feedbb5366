"""The lesson: On plain lists."""
