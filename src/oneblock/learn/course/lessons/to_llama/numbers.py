"""The numbers of the lesson to_llama."""

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.config.attention import Attention as AttentionOption
from oneblock.config.config import Config
from oneblock.config.dense import Gated as GatedOption
from oneblock.config.norm import RMSNorm as RMSNormOption
from oneblock.config.override import override
from oneblock.config.position import Rope
from oneblock.config.presets import gpt2, llama_nano, nano
from oneblock.inspect.statistics import cache_bytes_per_token, parameters
from oneblock.learn.course.figures import Arrow, Box, flow
from oneblock.nn.attention import Attention
from oneblock.nn.context import Context
from oneblock.nn.dense import Gated
from oneblock.nn.norm import RMSNorm
from oneblock.nn.position import Position, attention_position
from oneblock.nn.position import Rope as RopeModule
from oneblock.nn.rope import frequencies, rotate_half


def rms_norm(x: Tensor, gain: Tensor, eps: float = 1e-5) -> Tensor:
    """Swap 1, for LayerNorm: no mean, no bias."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    mean_square = wide.square().mean(-1, keepdim=True)
    normed = wide * torch.rsqrt(mean_square + eps)
    return (normed * gain).to(x.dtype)


def rope(x: Tensor, positions: Tensor, base: float = 10_000.0) -> Tensor:
    """Swap 2, for a table: queries and keys B × H × T × K, turned."""
    half = x.shape[-1] // 2
    theta = base ** -(torch.arange(half, dtype=torch.float64) / half)
    phase = positions[:, None] * theta
    cos, sin = phase.cos().to(x.dtype), phase.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def swiglu(x: Tensor, gate: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """Swap 3, for down(gelu(up(x))): a gate, 2/3 of the width."""
    return F.linear(F.silu(F.linear(x, gate)) * F.linear(x, up), down)


def grouped_attention(x: Tensor, qkv, output, heads, groups) -> Tensor:
    """Swap 4, for all heads: each group for heads/groups queries."""
    batch, length, width = x.shape
    k_width = width // heads
    sizes = [heads * k_width, groups * k_width, groups * k_width]
    q, k, v = F.linear(x, qkv).split(sizes, dim=-1)
    q = q.view(batch, length, heads, k_width).transpose(1, 2)
    k = k.view(batch, length, groups, k_width).transpose(1, 2)
    v = v.view(batch, length, groups, k_width).transpose(1, 2)
    positions = torch.arange(length)
    q, k = rope(q, positions), rope(k, positions)
    # The only new lines: one group for several neighbouring queries.
    k = k.repeat_interleave(heads // groups, dim=1)
    v = v.repeat_interleave(heads // groups, dim=1)
    scores = q @ k.transpose(-2, -1) / math.sqrt(k_width)
    future = torch.ones(length, length, dtype=torch.bool).triu(1)
    weights = scores.masked_fill(future, -torch.inf).softmax(-1)
    return F.linear((weights @ v).transpose(1, 2).flatten(2), output)


def lines(*parts: Callable[..., Any]) -> int:
    """Lines of code, without descriptions and empty ones."""
    written = [line for part in parts for line in inspect.getsource(part).splitlines()]
    return sum(bool(line.strip()) and not line.strip().startswith('"""') for line in written)


def length(*parts: Callable[..., Any]) -> int:
    """Lines of the package's own modules, descriptions included."""
    return sum(len(inspect.getsource(part).splitlines()) for part in parts)


lengths = {
    "RMSNorm": length(RMSNorm),
    "RoPE": length(RopeModule, rotate_half),
    "SwiGLU": length(Gated),
    "groups": length(Attention.__init__),
}


def differences() -> dict[str, float]:
    """The largest difference of each of the four from the package's own part."""
    torch.manual_seed(0)
    x = torch.randn(2, 7, 12, dtype=torch.float64)
    context = Context(7, x.device, position=Position())
    norm = RMSNorm(RMSNormOption(), 12).double()
    assert norm.weight is not None
    heads = torch.randn(2, 3, 7, 4, dtype=torch.float64)
    phase = torch.arange(7)[:, None] * frequencies(Rope(), 4)[0]
    gated = Gated(GatedOption(hidden=32), 12).double()
    option = AttentionOption(num_heads=6, num_kv_heads=3)
    turned = attention_position(None, Rope(), num_heads=6, head_width=2, slot=0)
    attention = Attention(option, 12, slot=0, position=turned, fused=False).double()
    for p in (*gated.parameters(), *attention.parameters()):
        torch.nn.init.normal_(p)
    with torch.no_grad():
        pairs = {
            "RMSNorm": (rms_norm(x, norm.weight), norm(x)),
            "RoPE": (rope(heads, torch.arange(7)), rotate_half(heads, phase.cos(), phase.sin())),
            "SwiGLU": (swiglu(x, gated.gate.weight, gated.up.weight, gated.down.weight), gated.mix(x, context)),
            "groups": (
                grouped_attention(x, attention.qkv.weight, attention.output.weight, 6, 3),
                attention.mix(x, context),
            ),
        }
        return {name: float((mine - ours).abs().max()) for name, (mine, ours) in pairs.items()}


same = differences()

# The four swaps on GPT-2 small and on a GPT of nano's size.
SWAPS = {
    "GPT": (),
    "RMSNorm": ("block.norm=rms",),
    "RoPE": ("position=rope",),
    "SwiGLU": ("block.feed_forward=swiglu",),
    "groups": ("block.attention.num_kv_heads=4",),
    "no biases": ("block.attention.bias=false", "block.attention.output_bias=false"),
}


def swapped(start: Config, groups: int) -> dict[str, Config]:
    """The configuration after each swap, all before it included."""
    out, config = {}, start
    for name, changes in SWAPS.items():
        given = (f"block.attention.num_kv_heads={groups}",) if name == "groups" else changes
        config = override(config, *given) if given else config
        out[name] = config
    return out


large = swapped(gpt2(), 4)
small = swapped(override(nano(), "block.norm=layer", "position=learned", "block.feed_forward=gelu"), 2)
NAMES = list(SWAPS)


def total(config: Config) -> int:
    return sum(parameters(config).values())


def change(name: str) -> int:
    """What a swap did to GPT-2's parameters."""
    before = NAMES[NAMES.index(name) - 1]
    return total(large[name]) - total(large[before])


def cache(config: Config) -> int:
    return cache_bytes_per_token(config)


CONTEXT = 1024
weights_bytes = 2 * total(large["GPT"])
cache_bytes = CONTEXT * cache(large["GPT"])
readers = math.ceil(weights_bytes / cache_bytes)
llama_nano_total, llama_nano_cache = total(llama_nano()), cache(llama_nano())

# The lab's first check: attention on a batch of 2, 8 tokens, width 16.


def attention_lab() -> str:
    """Shape, largest weight above the diagonal, rows that sum to 1."""
    x = torch.linspace(-2, 2, 2 * 8 * 16).sin().view(2, 8, 16)
    scores = x @ x.transpose(-2, -1) / math.sqrt(16)
    future = torch.ones(8, 8, dtype=torch.bool).triu(1)
    weights = scores.masked_fill(future, -torch.inf).softmax(-1)
    output = weights @ x
    above = torch.triu(weights, 1).abs().max()
    off = (weights.sum(-1) - 1).abs().max()
    return str((tuple(output.shape), float(above), bool(off < 1e-6)))


LOSSES = [4.2, 4.0, 3.8, 3.6, 3.5, 3.4, 3.3, 3.2, 3.1, 3.0, 2.9, 2.9, 2.8, 2.8, 2.7, 2.7, 2.6, 2.6, 2.6, 2.5]


def fell(losses: list[float] = LOSSES) -> bool:
    """20 steps or more; the last five below 0.7 of the first five."""
    first, last = sum(losses[:5]), sum(losses[-5:])
    return len(losses) >= 20 and last < 0.7 * first


first_five, last_five = sum(LOSSES[:5]) / 5, sum(LOSSES[-5:]) / 5


# The lab's questions.
def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


HEAD = 64


def spread(width: int = HEAD, pairs: int = 4000) -> float:
    """The standard deviation of q·k over random q and k of variance 1."""
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(pairs, width, generator=generator) for _ in range(2))
    return float((q * k).sum(1).std())


measured_spread = spread()
UNSCALED = [8.0, 0.0, -8.0]
SCALED = [1.0, 0.0, -1.0]


def slope(scores: list[float]) -> float:
    """How much the first weight moves with its score: p·(1 − p)."""
    p = softmax(scores)[0]
    return p * (1 - p)


ROW = [1.0, 2.0, 3.0]
before = softmax([*ROW[:2], -math.inf])
after = [*softmax(ROW)[:2], 0.0]
zero_scores = softmax([*ROW[:2], 0.0])
changed_future = [*softmax([1.0, 2.0, 9.0])[:2], 0.0]


def fused_bound(width: int = 768) -> list[float]:
    """Xavier's bound for one matrix D → 3·D, and for D → D."""
    return [math.sqrt(6 / (4 * width)), math.sqrt(6 / (2 * width))]


def figure_swaps() -> str:
    """The block of a Llama. Coloured boxes were exchanged; the wiring, two branches that are added to the stream, is
    that of GPT-2."""
    boxes = [
        Box(id="x", text="x", at=(0, 0), kind="end"),
        Box(id="dot1", at=(0, 1), kind="dot"),
        Box(id="norm1", text="RMSNorm\n(was LayerNorm)", at=(1, 1), kind="norm"),
        Box(
            id="attention",
            text="grouped attention, q and k turned\n(was all heads, a table of positions)",
            at=(1, 2),
            kind="attention",
        ),
        Box(id="add1", at=(0, 2), kind="add"),
        Box(id="dot2", at=(0, 3), kind="dot"),
        Box(id="norm2", text="RMSNorm\n(was LayerNorm)", at=(1, 3), kind="norm"),
        Box(id="ffn", text="SwiGLU\n(was GELU)", at=(1, 4), kind="feed_forward"),
        Box(id="add2", at=(0, 4), kind="add"),
        Box(id="y", text="new x", at=(0, 5), kind="end"),
    ]
    pairs = [("x", "add1"), ("dot1", "norm1"), ("norm1", "attention"), ("attention", "add1"), ("add1", "add2")]
    pairs += [("dot2", "norm2"), ("norm2", "ffn"), ("ffn", "add2"), ("add2", "y")]
    return flow("The four swaps", boxes, [Arrow(start=start, to=to) for start, to in pairs])
