"""Parity: two models that should agree, where they part, and the change that explains it."""

from oneblock.doctor.parity.against import Parity, against
from oneblock.doctor.parity.change import Change

__all__ = ["Change", "Parity", "against"]
