"""Speed against peers and against this machine's limits."""
