"""The lesson swiglu: a gate in the feed-forward."""
