"""Mixtures of experts: a router, its choices, and the experts they are carried to."""
