"""Configuration in a few words each, for boxes and tables."""

from __future__ import annotations

from collections.abc import Sequence

from oneblock.config.attention import Attention
from oneblock.config.experts import Limited, Mixture
from oneblock.config.feedforward import FeedForward, Gated, GShard, Switch, TopK
from oneblock.config.norm import LayerNorm, PartialRMSNorm, RMSNorm
from oneblock.config.position import (
    Alibi,
    LinearScaling,
    Llama3Scaling,
    NTKScaling,
    Rope,
    T5Bias,
    YarnScaling,
)

ACTIVATION_NAMES = {
    "relu": "ReLU",
    "gelu": "GELU",
    "gelu_tanh": "GELU (tanh)",
    "relu2": "ReLU²",
    "silu": "SiLU",
    "sigmoid": "sigmoid",
    "identity": "no activation",
}
_GATED = {
    "relu": "ReGLU",
    "gelu": "GEGLU",
    "gelu_tanh": "GEGLU (tanh)",
    "relu2": "ReLU²-GLU",
    "silu": "SwiGLU",
    "sigmoid": "GLU",
    "identity": "bilinear GLU",
}
FEED_FORWARD_NAMES: dict[type, str] = {Switch: "Switch", GShard: "GShard", TopK: "MoE"}
"""Names of mixtures in formulas and drawings; all others are FFN, and feed-forward."""

_SCALINGS = {LinearScaling: "linear", NTKScaling: "NTK", YarnScaling: "YaRN", Llama3Scaling: "Llama 3"}


def number(value: float) -> str:
    """12345 -> 12,345."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"


def nearly(value: float) -> str:
    """1234567 -> 1.23 M."""
    for factor, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {unit}" if value < 999.5 * factor else f"{value / factor:.0f} {unit}"
    return f"{value:.0f}"


def in_bytes(value: float) -> str:
    """36864 -> 36 KiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.3g} {unit}" if value < 999.5 else f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.3g} TiB"


def layer_words(layers: Sequence[int]) -> str:
    """[1, 2, 3, 5] -> layers 1–3, 5; a long list is cut in the middle."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs]
    if len(words) > 4:
        words = [*words[:3], "…", words[-1]]
    return ("layer " if len(layers) == 1 else "layers ") + ", ".join(words)


def norm_words(norm: object) -> tuple[str, ...]:
    """A norm's name and what is special about it; empty for none."""
    match norm:
        case LayerNorm():
            special = {
                (True, True): (),
                (True, False): ("no bias",),
                (False, True): ("no gain",),
                (False, False): ("no gain, no bias",),
            }
            return ("LayerNorm", *special[norm.gain, norm.bias])
        case RMSNorm():
            words = ("no gain",) if not norm.gain else ("gain 1 + weight",) if norm.one_plus else ()
            return ("RMSNorm", *words)
        case PartialRMSNorm():
            words = (f"of the first {100 * norm.fraction:.3g} %",)
            return ("partial RMSNorm", *words, *(() if norm.gain else ("no gain",)))
        case _:
            return ()


def attention_words(option: Attention, width: int, position: object = None) -> tuple[str, ...]:
    """Heads, sizes and every choice that is not the plain one. `position`: the model's."""
    heads, groups, head = option.num_heads, option.num_groups, option.width_of_head(width)
    lines = [f"{heads} head{'s' * (heads > 1)} × {head}"]
    if groups == 1 and heads > 1:
        lines.append("1 key/value head")
    elif groups < heads:
        lines.append(f"{groups} key/value heads")
    lines += _position_words(option.position or position)
    if norm := norm_words(option.qk_norm):
        lines.append(f"{norm[0]} on q and k")
        lines += ["over all heads at once"] if option.qk_norm_over == "all_heads" else []
    lines += [f"scale {option.scale:.4g}"] if option.scale else []
    lines += [f"soft cap {option.soft_cap:g}"] if option.soft_cap else []
    lines += [f"window {number(option.window)}"] if option.window else []
    lines += [f"dropout {option.dropout:g} on weights"] if option.dropout else []
    return tuple(lines)


def _position_words(position: object) -> list[str]:
    match position:
        case Rope() as rope:
            share = "" if rope.fraction == 1 else f" on {100 * rope.fraction:.3g} %"
            scaling = _SCALINGS.get(type(rope.scaling))
            words = [f"RoPE{share}, θ {number(rope.theta)}"]
            return words + ([f"{scaling} × {getattr(rope.scaling, 'factor', 1):g}"] if scaling else [])
        case Alibi():
            return ["ALiBi"]
        case T5Bias() as t5:
            return [f"T5 bias, {t5.num_buckets} buckets"]
        case _:
            return []


def mixture_words(option: Mixture) -> tuple[str, ...]:
    """How many experts, how many of them for a token, and every choice that is not the plain one."""
    lines = [f"top {option.num_chosen} of {option.num_experts} experts"]
    match option:
        case Limited():
            factors = {"capacity": option.capacity_factor, "evaluated at": option.eval_capacity_factor}
            lines += [f"{name} × {factor:g}" for name, factor in factors.items() if factor is not None]
            lines += [f"capacity {number(option.capacity)}"] if option.capacity else []
            lines += [f"groups of {number(option.group_size)}"] if option.group_size else []
        case TopK():
            lines += [f"and {option.shared_experts} shared"] if option.shared_experts else []
            lines += ["weights not normalised"] if not option.renormalise else []
            lines += [f"balanced by bias, {option.bias_rate:g}"] if option.bias_rate else []
    return tuple(lines)


def feed_forward_words(option: FeedForward, width: int) -> tuple[str, ...]:
    """Its activation or gate, and its widths; of a mixture, those of one expert, and how tokens find it."""
    if isinstance(option, Mixture):
        return (*mixture_words(option), *feed_forward_words(option.expert, width))
    name = (_GATED if isinstance(option, Gated) else ACTIVATION_NAMES)[option.activation]
    hidden = number(option.hidden_width(width))
    lines = [name, f"{number(width)} → {hidden} → {number(width)}"]
    return (*lines, *([f"dropout {option.dropout:g} inside"] if option.dropout else []))
