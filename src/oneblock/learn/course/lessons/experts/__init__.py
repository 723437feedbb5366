"""The lesson experts: Switch and GShard."""
