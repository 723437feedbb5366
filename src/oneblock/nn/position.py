"""Positions: what each scheme adds to the embedding, does to queries and keys, and adds to the scores.

A scheme does one of the three; the others are the identity.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from oneblock.config import position as config
from oneblock.nn.cache import ContextOverflow
from oneblock.nn.context import Context
from oneblock.nn.rope import ROTATIONS, frequencies


class Position(nn.Module):
    """No signal, and the base of all schemes."""

    def embed(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        """The embedding with its positions."""
        return x_BTD

    def rotate(self, q_BHTK: Tensor, k_BGTK: Tensor, ctx: Context) -> tuple[Tensor, Tensor]:
        """Queries and keys with their positions."""
        return q_BHTK, k_BGTK

    def bias(self, ctx: Context) -> Tensor | None:
        """What distance adds to the scores, H × T × S or B × H × T × S."""
        return None


class Learned(Position):
    """x + table[position] (Gehring et al. 2017; GPT-2). Beyond the table there is nothing: ContextOverflow."""

    def __init__(self, context: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(context, width))

    def embed(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        if ctx.num_keys > self.weight.shape[0] and int(ctx.positions.max()) >= self.weight.shape[0]:
            raise ContextOverflow(
                f"{ctx.num_keys} tokens were given and learned positions end at context={self.weight.shape[0]}; "
                "give fewer, or build the model with a longer context"
            )
        return x_BTD + self.weight[ctx.positions]


class Sinusoidal(Position):
    """x + PE, PE(p, 2i) = sin(p · base^(−2i/D)), PE(p, 2i+1) = cos(same) (Vaswani 2017, section 3.5)."""

    def __init__(self, option: config.Sinusoidal, width: int) -> None:
        super().__init__()
        self.width, self.interleaved = width, option.layout == "interleaved"
        self.theta = option.base ** -(torch.arange(0, width, 2, dtype=torch.float64) / width)

    def embed(self, x_BTD: Tensor, ctx: Context) -> Tensor:
        phase = ctx.positions.unsqueeze(-1) * self.theta.to(ctx.device)
        waves = [phase.sin(), phase.cos()]
        table = torch.stack(waves, -1).flatten(-2) if self.interleaved else torch.cat(waves, -1)
        return x_BTD + table[..., : self.width].to(x_BTD.dtype)


class Rope(Position):
    """q and k turned by position · θ, so that q·k depends on their distance alone (Su et al. 2021, eq. 14–16).

    Phases are taken in float64 and turned in float32 or wider. Keys are cached turned. People get wrong: mixing the
    two pairings, turning values too, and starting again at 0 when a cache is there.
    """

    def __init__(self, option: config.Rope, head_width: int) -> None:
        super().__init__()
        self.turn = ROTATIONS[option.style]
        self.theta, self.factor = frequencies(option, head_width)
        self.name = f"{option} {head_width}"

    def _table(self, ctx: Context, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        self.theta = self.theta.to(ctx.device)
        phase = ctx.positions.unsqueeze(-1) * self.theta
        cos, sin = (phase.cos() * self.factor).to(dtype), (phase.sin() * self.factor).to(dtype)
        return (cos, sin) if cos.dim() == 2 else (cos.unsqueeze(1), sin.unsqueeze(1))

    def rotate(self, q_BHTK: Tensor, k_BGTK: Tensor, ctx: Context) -> tuple[Tensor, Tensor]:
        dtype = torch.promote_types(q_BHTK.dtype, torch.float32)
        cos, sin = ctx.once(self.name, lambda: self._table(ctx, dtype))
        return self.turn(q_BHTK, cos, sin), self.turn(k_BGTK, cos, sin)


def alibi_slopes(num_heads: int) -> list[float]:
    """2^(−8h/n) for h = 1…n where n is a power of two; else those of the power below, then every other of the next.

    Press et al. 2022, section 3, and their code for other head counts.
    """
    power = 2 ** int(math.log2(num_heads))
    slopes = [2 ** (-8 * (head + 1) / power) for head in range(power)]
    return slopes + [2 ** (-4 * (2 * head + 1) / power) for head in range(num_heads - power)]


class Alibi(Position):
    """scores − slope · |distance|, after the scores are scaled (Press et al. 2022)."""

    def __init__(self, num_heads: int) -> None:
        super().__init__()
        self.slopes = torch.tensor(alibi_slopes(num_heads), dtype=torch.float64)
        self.name = f"alibi {num_heads}"

    def bias(self, ctx: Context) -> Tensor | None:
        def make() -> Tensor:
            distance = ctx.distance().abs().unsqueeze(-3)
            return -self.slopes.to(ctx.device)[:, None, None] * distance

        return ctx.once(self.name, make)


class T5Bias(Position):
    """scores + table[bucket(distance), head]; one table for all layers (Raffel et al. 2020, section 2.1).

    Causal: the nearest num_buckets/2 distances have a bucket each, the rest share the others on a log scale up to
    max_distance. Both ways: half of the buckets for each side.
    """

    def __init__(self, option: config.T5Bias, num_heads: int, name: str) -> None:
        super().__init__()
        self.name = name
        self.num_buckets, self.max_distance = option.num_buckets, option.max_distance
        self.weight = nn.Parameter(torch.zeros(option.num_buckets, num_heads))

    def bucket(self, distance: Tensor, causal: bool) -> Tensor:
        """The bucket of each distance (query − key)."""
        count, offset = self.num_buckets, torch.zeros_like(distance)
        if causal:
            distance = distance.clamp(min=0)
        else:
            count //= 2
            offset, distance = (distance < 0) * count, distance.abs()
        exact = count // 2
        ratio = (distance.clamp(min=1).double() / exact).log() / math.log(self.max_distance / exact)
        far = (exact + (ratio * (count - exact)).long()).clamp(max=count - 1)
        return offset + torch.where(distance < exact, distance, far)

    def bias(self, ctx: Context) -> Tensor | None:
        def make() -> Tensor:
            return self.weight[self.bucket(ctx.distance(), ctx.causal)].movedim(-1, -3)

        return ctx.once(self.name, make)


class ModelPosition(Position):
    """The model's own scheme, for attention whose bias is one table for all layers."""

    def bias(self, ctx: Context) -> Tensor | None:
        return ctx.position.bias(ctx)


def stack_position(option: config.Position, *, context: int, width: int, num_heads: int) -> Position:
    """What a scheme keeps once for the whole stack: the table added to the embedding, or T5's shared bias.

    num_heads: of the attentions that share it; 0 where each has its own scheme, and no table is made.
    """
    match option:
        case config.Learned():
            return Learned(context, width)
        case config.Sinusoidal():
            return Sinusoidal(option, width)
        case config.T5Bias() if num_heads:
            return T5Bias(option, num_heads, "t5")
        case _:
            return Position()


def attention_position(
    own: config.Position | None, stack: config.Position, *, num_heads: int, head_width: int, slot: int
) -> Position:
    """What a scheme does inside one attention: its own, where it has one, else the stack's."""
    match own or stack:
        case config.Rope() as rope:
            return Rope(rope, head_width)
        case config.Alibi():
            return Alibi(num_heads)
        case config.T5Bias() as t5:
            return ModelPosition() if own is None else T5Bias(t5, num_heads, f"t5 {slot}")
        case _:
            return Position()
