"""Doctor: behavioural checks on any transformer, each with its evidence."""

from oneblock.doctor.examine import examine
from oneblock.doctor.finding import Finding, Report

__all__ = ["Finding", "Report", "examine"]
