"""Doctor: behavioural checks on any transformer, each with its evidence."""

from oneblock.doctor.examine import examine
from oneblock.doctor.finding import Finding, Report
from oneblock.doctor.parity import Parity, against
from oneblock.doctor.watch import Watching, watch

__all__ = ["Finding", "Parity", "Report", "Watching", "against", "examine", "watch"]
