"""Feed-forwards: what a block does to each token alone, by one of them or by experts."""

from __future__ import annotations

from oneblock.config.dense import ACTIVATIONS, DENSE, Dense, Gated
from oneblock.config.experts import GShard, Switch, TopK

FEED_FORWARDS = {**DENSE, "switch": Switch, "gshard": GShard, "top_k": TopK}
FeedForward = Dense | Gated | Switch | GShard | TopK

__all__ = ["ACTIVATIONS", "FEED_FORWARDS", "Dense", "FeedForward", "GShard", "Gated", "Switch", "TopK"]
