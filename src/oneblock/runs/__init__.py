"""A run's folder: its files, its metrics, and checkpoints and weights that survive a crash."""
