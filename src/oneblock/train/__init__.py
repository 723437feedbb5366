"""Training: steps and their gradients, optimisers and schedules, what is kept, and the report."""
