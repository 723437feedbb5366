"""Dense and gated feed-forwards: what a block does to each token alone, and what one expert is."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.part import Part, choice, count, flag, positive, share

ACTIVATIONS = ("relu", "gelu", "gelu_tanh", "relu2", "silu", "sigmoid", "identity")


@dataclass(frozen=True, kw_only=True)
class Dense(Part):
    """act(x·up)·down, inner width `ratio` times the model's unless `hidden` says."""

    activation: str = choice("gelu", *ACTIVATIONS)
    ratio: float = positive(4.0)
    hidden: int | None = count(None)
    bias: bool = flag(False)
    dropout: float = share(0.0)

    def hidden_width(self, width: int) -> int:
        """F, the inner width."""
        return self.hidden or max(1, round(self.ratio * width))


@dataclass(frozen=True, kw_only=True)
class Gated(Part):
    """(act(x·gate) ⊙ x·up)·down. Three matrices instead of two, so the inner width is 2/3 of the dense one.

    F = ⌊2/3 · ratio · D⌋ rounded up to a multiple of `multiple_of`, unless `hidden` says.
    """

    activation: str = choice("silu", *ACTIVATIONS)
    ratio: float = positive(4.0)
    hidden: int | None = count(None)
    multiple_of: int = count(8)
    bias: bool = flag(False)
    dropout: float = share(0.0)

    def hidden_width(self, width: int) -> int:
        """F, the inner width."""
        if self.hidden:
            return self.hidden
        return -(-max(1, int(2 * self.ratio * width / 3)) // self.multiple_of) * self.multiple_of


DENSE = {
    "dense": Dense,
    "gated": Gated,
    # The field's names for particular ones.
    "relu": Dense(activation="relu"),
    "gelu": Dense(activation="gelu"),
    "gelu_tanh": Dense(activation="gelu_tanh"),
    "relu2": Dense(activation="relu2"),
    "glu": Gated(activation="sigmoid"),
    "bilinear": Gated(activation="identity"),
    "reglu": Gated(activation="relu"),
    "geglu": Gated(activation="gelu"),
    "swiglu": Gated(activation="silu"),
}
