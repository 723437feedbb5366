"""Experiments: a claim, its variants, a fair fight, a verdict."""
