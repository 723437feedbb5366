"""Other people's models and ours: converted from and to, weight for weight."""
