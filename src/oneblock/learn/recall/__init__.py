"""What stays in memory: cards that come back when they are about to be forgotten, and revision before the next tier."""
