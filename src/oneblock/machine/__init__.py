"""This machine: its devices, the precision that pays on them, and their measured limits."""
