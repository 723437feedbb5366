"""Text in, batches out: where a text comes from, its tokens, its splits, and the windows drawn from them."""
