"""What `oneblock generate` makes: one file for each kind of model."""
