"""`report.html`: a run told on one page, with charts that need nothing but a browser."""

from oneblock.train.report.page import write_report

__all__ = ["write_report"]
