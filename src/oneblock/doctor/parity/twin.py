"""The twin: a decoder as one formula of choices and tensors, with room for the wrong choices as well.

    x = scale · embedding + positions, normed
    x = after(skip · x + branch · mix(before(x)))   attention, then feed-forward, in every layer
    logits = cap(scale · final(x) · head)

`oneblock.nn` makes only models that are meant to be; what a port got wrong (a norm with the sample variance, heads
merged without a transpose, a mask one too far) can be said here. A reading of a model fills it, and is right where the
twin answers what the model answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.config.position import Rope
from oneblock.nn.activation import ACTIVATIONS as OURS
from oneblock.nn.position import alibi_slopes
from oneblock.nn.rope import ROTATIONS, frequencies

Choices = dict[str, Any]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **OURS,
    "gelu_sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
    "tanh": torch.tanh,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "softplus": F.softplus,
    "mish": F.mish,
    "relu6": F.relu6,
}
"""Those of a configuration, and others that stand in people's files."""
NO_NORM: Choices = {"kind": "none"}
ADDED: Choices = {"skip": 1.0, "branch": 1.0, "from": "stream"}


@dataclass
class Reading:
    """A model as the twin has it: choices by place (`layers.0.attention`), tensors by role, and what they are called.

    names: role -> the parameters of the file that it is made of
    """

    num_layers: int
    choices: dict[str, Choices] = field(default_factory=dict)
    tensors: dict[str, Tensor | None] = field(default_factory=dict)
    names: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def copy(self) -> Reading:
        """One to change."""
        return Reading(self.num_layers, {k: dict(v) for k, v in self.choices.items()}, dict(self.tensors), self.names)


def answer(reading: Reading, tokens: Tensor) -> Tensor:
    """The twin's logits, B × T × V."""
    c, t = reading.choices, reading.tensors
    x = enter(tokens, c["embedding"], t)
    for layer in range(reading.num_layers):
        x = block(x, f"layers.{layer}", c, t)
    return leave(linear(norm(x, c["final"], t, "final"), t, "head"), c["logits"])


def enter(tokens: Tensor, c: Choices, t: Mapping[str, Tensor | None]) -> Tensor:
    """The embedding with its positions, before any norm."""
    table, rows = t["embedding.weight"], t.get("position.rows")
    assert table is not None
    x = table[tokens] * c["scale"]
    x = x if rows is None else x + rows[: tokens.shape[1]]
    return norm(x, c["norm"], t, "embedding.norm")


def block(x: Tensor, place: str, c: Mapping[str, Choices], t: Mapping[str, Tensor | None]) -> Tensor:
    """One layer."""
    first, second = f"{place}.attention", f"{place}.feed_forward"
    a = norm(x, c[f"{first}.before"], t, f"{first}.before")
    mixed = linear(attend(linear(a, t, f"{first}.qkv"), c[first], t, first), t, f"{first}.output")
    joined = join(x, a, mixed, c[f"{first}.residual"], c[f"{first}.after"], t, f"{first}.after")
    f = norm(x if c[place]["parallel"] else joined, c[f"{second}.before"], t, f"{second}.before")
    inner = activate(linear(f, t, f"{second}.up"), c[second])
    out = linear(inner, t, f"{second}.down")
    return join(joined, f, out, c[f"{second}.residual"], c[f"{second}.after"], t, f"{second}.after")


def join(
    x: Tensor, a: Tensor, out: Tensor, c: Choices, after: Choices, t: Mapping[str, Tensor | None], place: str
) -> Tensor:
    """after(skip · x + branch · out), or skip · x + branch · after(out)."""
    if after.get("place") == "out":
        out = norm(out, after, t, place)
    joined = c["skip"] * (a if c["from"] == "norm" else x) + c["branch"] * out
    return norm(joined, after, t, place) if after.get("place") == "stream" else joined


def linear(x: Tensor, t: Mapping[str, Tensor | None], role: str) -> Tensor:
    """x · matrix + bias."""
    matrix, bias = t[f"{role}.weight"], t.get(f"{role}.bias")
    assert matrix is not None
    return x @ matrix if bias is None else x @ matrix + bias


def norm(x: Tensor, c: Choices, t: Mapping[str, Tensor | None], place: str) -> Tensor:
    """gain · (x − mean) / sqrt(var + eps) + bias, or one of its kin; `scale` is the gain alone (LayerScale)."""
    if c["kind"] == "none":
        return x
    gain, bias = t.get(f"{place}.gain"), t.get(f"{place}.bias")
    y = x if c["kind"] == "scale" else normed(x, c)
    if gain is not None:
        y = y * (1 + gain if c["form"] == "1 + weight" else gain)
    return y if bias is None else y + bias


def normed(x: Tensor, c: Choices) -> Tensor:
    """Without gain and bias."""
    if c["kind"] == "layer":
        x = x - x.mean(-1, keepdim=True)
    count = x.shape[-1] - (1 if c["variance"] == "sample" else 0)
    square = x.square().sum(-1, keepdim=True) / count
    return x / (square.sqrt() + c["eps"] if c["eps_place"] == "outside the root" else (square + c["eps"]).sqrt())


def activate(x: Tensor, c: Choices) -> Tensor:
    """The activation, with its gate where there is one."""
    act = ACTIVATIONS[c["activation"]]
    if c["gate"] == "none":
        return act(x)
    halves = x.chunk(2, dim=-1) if c["halves"] == "blocks" else (x[..., ::2], x[..., 1::2])
    return act(halves[0]) * halves[1] if c["gate"] == "first" else halves[0] * act(halves[1])


def leave(x: Tensor, c: Choices) -> Tensor:
    """Logits, scaled and capped."""
    x = x * c["scale"]
    return x if c["cap"] is None else c["cap"] * torch.tanh(x / c["cap"])


def attend(raw_BTE: Tensor, c: Choices, t: Mapping[str, Tensor | None], place: str) -> Tensor:
    """From the projection's rows to all heads' outputs side by side, B × T × H·K."""
    batch, length, width = *raw_BTE.shape[:2], c["head_width"]
    parts = [_heads(part, width, c["split"]) for part in split(raw_BTE, c)]
    q, k = (_normed(part, c.get(f"{n}_norm"), t, f"{place}.{n}_norm") for part, n in zip(parts[:2], "qk", strict=True))
    v = parts[2]
    q, k = turn(q, c, "q"), turn(k, c, "k")
    repeats = q.shape[1] // k.shape[1]
    if c["kv_heads"] == "neighbours":
        k, v = k.repeat_interleave(repeats, 1), v.repeat_interleave(repeats, 1)
    else:
        k, v = k.repeat(1, repeats, 1, 1), v.repeat(1, repeats, 1, 1)
    scores = q @ k.transpose(-2, -1) * c["scale"]
    if c["cap"] is not None:
        scores = c["cap"] * torch.tanh(scores / c["cap"])
    places = torch.arange(length)
    distance = places[:, None] - places
    if c["alibi"]:
        slopes = torch.tensor(alibi_slopes(q.shape[1]), dtype=scores.dtype)[:, None, None]
        scores = scores - slopes * distance.abs()
    scores = scores.masked_fill(~allowed(distance, c["mask"]), torch.finfo(scores.dtype).min)
    heads = scores.softmax(-2 if c["softmax"] == "queries" else -1) @ v
    if c["merge"] == "without transpose":
        return heads.reshape(batch, length, -1)
    return heads.transpose(1, 2).reshape(batch, length, -1)


def allowed(distance: Tensor, mask: str) -> Tensor:
    """Which keys a query sees; distance = query − key."""
    word, _, number = mask.partition(" ")
    match word:
        case "causal":
            return distance >= 0
        case "all":
            return distance == distance
        case "ahead":
            return distance >= -int(number)
        case "reversed":
            return distance <= 0
        case _:
            return (distance >= 0) & (distance < int(number))


def split(raw_BTE: Tensor, c: Choices) -> list[Tensor]:
    """Queries, keys, values B × T × (heads · K) out of the projection's rows."""
    heads, groups, width, layout = c["heads"], c["groups"], c["head_width"], c["layout"]
    if layout == "q, k, v of each head":
        x = raw_BTE.unflatten(-1, (groups, heads // groups + 2, width))
        return [x[..., :-2, :].flatten(2), x[..., -2, :].flatten(2), x[..., -1, :].flatten(2)]
    if layout == "q, k, v of each feature":
        return [part.flatten(2) for part in raw_BTE.unflatten(-1, (heads, width, 3)).unbind(-1)]
    order = layout.split(", ")
    sizes = {"q": heads * width, "k": groups * width, "v": groups * width}
    found = dict(zip(order, raw_BTE.split([sizes[name] for name in order], dim=-1), strict=True))
    return [found[name] for name in "qkv"]


def _heads(x: Tensor, width: int, how: str) -> Tensor:
    batch, length = x.shape[:2]
    if how == "without transpose":
        return x.reshape(batch, -1, length, width)
    return x.unflatten(-1, (-1, width)).transpose(1, 2)


def _normed(x: Tensor, c: Choices | None, t: Mapping[str, Tensor | None], place: str) -> Tensor:
    if c is None or c["kind"] == "none":
        return x
    if c.get("over") == "all heads":
        wide = norm(x.transpose(1, 2).flatten(2), c, t, place)
        return wide.unflatten(2, (x.shape[1], x.shape[3])).transpose(1, 2)
    return norm(x, c, t, place)


def turn(x: Tensor, c: Choices, name: str) -> Tensor:
    """Rotary positions."""
    if c["rope"] == "none" or name not in c["turned"]:
        return x
    theta, factor = frequencies(Rope(theta=c["theta"], fraction=c["fraction"]), x.shape[-1])
    phase = (torch.arange(x.shape[2], dtype=torch.float64)[:, None] * theta).to(x.dtype) * c["direction"]
    return ROTATIONS[c["rope"]](x, phase.cos() * factor, phase.sin() * factor)
