"""The lesson diffusion: a transformer that paints."""
