"""The course as a static site: `oneblock learn --html DIR`. It loads nothing from elsewhere and opens from a file."""

from __future__ import annotations

from oneblock.learn.course.site.make import build

__all__ = ["build"]
