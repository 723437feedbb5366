"""Text, pairs and images in, batches out: where data comes from, its tokens, its splits, and what each step reads."""
