"""The course: lessons whose every number is computed when a page is made. Reading them loads no torch."""
