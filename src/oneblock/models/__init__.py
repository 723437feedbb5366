"""The stacks: a list of blocks with something before and after it."""
