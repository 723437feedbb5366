"""Objectives: what a model is trained to say. Each fits one kind of model."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.errors import ConfigError
from oneblock.config.part import Part, share


@dataclass(frozen=True, kw_only=True)
class NextToken(Part):
    """Each next token of a text, from those before it (a decoder)."""


@dataclass(frozen=True, kw_only=True)
class Masked(Part):
    """Tokens that were hidden, from both sides (an encoder; Devlin et al. 2019, section 3.1).

    chosen: share of the tokens to be told; of these `hidden` are replaced by the mask, `replaced` by a random token,
    and the rest stay as they are
    """

    chosen: float = share(0.15)
    hidden: float = share(0.8, inclusive=True)
    replaced: float = share(0.1, inclusive=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.hidden + self.replaced > 1 + 1e-9:
            rule = f"and replaced={self.replaced} are shares of the chosen, together at most 1"
            raise ConfigError("hidden", self.hidden, rule, (round(1 - self.replaced, 6),))


@dataclass(frozen=True, kw_only=True)
class Pairs(Part):
    """A target text from a source text, the right beginning given (an encoder-decoder; teacher forcing).

    label_smoothing: that share of each target's weight is spread evenly over all tokens (Szegedy et al. 2016)
    """

    label_smoothing: float = share(0.0)


@dataclass(frozen=True, kw_only=True)
class Denoise(Part):
    """What was added to an image, the process being the model's own (a diffusion transformer)."""


@dataclass(frozen=True, kw_only=True)
class NotTrained(Part):
    """Nothing: the model was trained elsewhere, and there is no training of its kind here (a vision encoder)."""


OBJECTIVES = {"next_token": NextToken, "masked": Masked, "pairs": Pairs, "denoise": Denoise, "none": NotTrained}
Objective = NextToken | Masked | Pairs | Denoise | NotTrained
