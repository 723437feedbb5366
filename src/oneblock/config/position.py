"""Positions: how a model knows the order of its tokens. One slot of the model; attention may have its own."""

from __future__ import annotations

from dataclasses import dataclass

from oneblock.config.errors import ConfigError
from oneblock.config.part import Part, choice, count, option, positive, share


@dataclass(frozen=True, kw_only=True)
class NoScaling(Part):
    """RoPE's frequencies as they are."""


@dataclass(frozen=True, kw_only=True)
class LinearScaling(Part):
    """Position interpolation: every frequency divided by `factor`."""

    factor: float = positive(2.0)


@dataclass(frozen=True, kw_only=True)
class NTKScaling(Part):
    """NTK-aware: the base becomes theta · factor^(r / (r − 2)), r the rotated width."""

    factor: float = positive(2.0)


@dataclass(frozen=True, kw_only=True)
class YarnScaling(Part):
    """YaRN: high frequencies kept, low ones interpolated, a ramp between; cos and sin scaled by 0.1·ln(factor) + 1."""

    factor: float = positive(2.0)
    original_context: int = count(4096)
    beta_fast: float = positive(32.0)
    beta_slow: float = positive(1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta_fast <= self.beta_slow:
            raise ConfigError("beta_fast", self.beta_fast, f"must be above beta_slow={self.beta_slow:g}", (32,))


@dataclass(frozen=True, kw_only=True)
class Llama3Scaling(Part):
    """Llama 3: wavelengths above original_context/low divided by `factor`, below /high kept, a ramp between."""

    factor: float = positive(8.0)
    low: float = positive(1.0)
    high: float = positive(4.0)
    original_context: int = count(8192)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.high <= self.low:
            raise ConfigError("high", self.high, f"must be above low={self.low:g}", (4 * self.low,))


SCALINGS = {
    "none": NoScaling,
    "linear": LinearScaling,
    "ntk": NTKScaling,
    "yarn": YarnScaling,
    "llama3": Llama3Scaling,
}
Scaling = NoScaling | LinearScaling | NTKScaling | YarnScaling | Llama3Scaling


@dataclass(frozen=True, kw_only=True)
class NoPosition(Part):
    """No signal; a causal mask alone still lets positions be recovered."""


@dataclass(frozen=True, kw_only=True)
class Learned(Part):
    """A learned vector for each of the `context` positions, added to the embedding."""


@dataclass(frozen=True, kw_only=True)
class Sinusoidal(Part):
    """Fixed sines and cosines added to the embedding; `interleaved` as in the paper, `concatenated` as in its code."""

    base: float = positive(10_000.0)
    layout: str = choice("interleaved", "interleaved", "concatenated")


@dataclass(frozen=True, kw_only=True)
class Rope(Part):
    """Rotary positions: pairs of features of queries and keys turned by position · theta^(−2i/r).

    `half` pairs feature i with i + r/2 (NeoX, Hugging Face), `interleaved` pairs neighbours (the paper, GPT-J).
    `fraction` of each head's features turn; the rest stay.
    """

    theta: float = positive(10_000.0)
    style: str = choice("half", "half", "interleaved")
    fraction: float = share(1.0, inclusive=True)
    scaling: Scaling = option(SCALINGS, NoScaling())


@dataclass(frozen=True, kw_only=True)
class Alibi(Part):
    """A penalty on scores, linear in distance, with a fixed slope for each head."""


@dataclass(frozen=True, kw_only=True)
class T5Bias(Part):
    """A learned number for each head and bucket of distance, added to the scores; one table for all layers."""

    num_buckets: int = count(32, minimum=4)
    max_distance: int = count(128, minimum=2)

    def __post_init__(self) -> None:
        super().__post_init__()
        nearest = self.num_buckets // 2
        if self.max_distance <= nearest:
            rule = f"must be above num_buckets/2 = {nearest}: that many nearest distances have a bucket each"
            raise ConfigError("max_distance", self.max_distance, rule, (nearest + 1, 4 * self.num_buckets))


POSITIONS = {
    "none": NoPosition,
    "learned": Learned,
    "sinusoidal": Sinusoidal,
    "rope": Rope,
    "alibi": Alibi,
    "t5": T5Bias,
}
Position = NoPosition | Learned | Sinusoidal | Rope | Alibi | T5Bias
