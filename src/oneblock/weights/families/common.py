"""What families share: words for activations, rotary positions in both generations of config.json, patterns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from oneblock.config.norm import Norm
from oneblock.config.position import (
    LinearScaling,
    Llama3Scaling,
    NoScaling,
    NTKScaling,
    Position,
    Rope,
    Scaling,
    YarnScaling,
)
from oneblock.weights.errors import WeightsError
from oneblock.weights.options import Options

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_python": "gelu",
    "relu": "relu",
    "relu2": "relu2",
    "silu": "silu",
    "swish": "silu",
    "sigmoid": "sigmoid",
    "linear": "identity",
}
"""Their word -> ours."""


def activation_name(feed_forward: Any, *preferred: str) -> str:
    """Their word for the activation of a feed-forward (or of a mixture's experts)."""
    ours = getattr(getattr(feed_forward, "expert", feed_forward), "activation", "")
    words = (*preferred, *ACTIVATIONS)
    return next(word for word in words if ACTIVATIONS[word] == ours)


def eps_of(norm: Norm | None, default: float = 1e-5) -> float:
    """The norm's epsilon, or the default where it has none."""
    return float(getattr(norm, "eps", default))


def read_rope(options: Options) -> Rope:
    """Rotary positions in which all of each head turns."""
    theta, context = options.positive("rope_theta"), options.count("max_position_embeddings")
    return rope_of(rope_fields(options), theta, context)


def rope_fields(options: Options) -> Options:
    """The object of rotary parameters: `rope_parameters` of transformers 5, or `rope_scaling` of transformers 4."""
    newer, older = options.within("rope_parameters"), options.within("rope_scaling")
    return newer if newer.fields else older


def rope_of(turning: Options, theta: float, context: int, fraction: float | None = None) -> Rope:
    """One object of rotary parameters as ours; `theta` and `context` where it does not say them itself.

    fraction: of a family whose heads turn in part; None: all of it turns
    """
    if fraction is None:
        turning.must("partial_rotary_factor", 1.0, None)
    scaling = turning.one_of("rope_type", SCALINGS, turning.get("type", "default"))
    theta = turning.positive("rope_theta", theta)
    return Rope(theta=theta, fraction=1.0 if fraction is None else fraction, scaling=scaling(turning, context))


def _yarn(turning: Options, context: int) -> YarnScaling:
    for name, usual in {"attention_factor": None, "mscale": None, "mscale_all_dim": None, "truncate": True}.items():
        value = turning.get(name, usual)
        if value not in (usual, None):
            raise WeightsError(
                f"{turning.where}: rope_type='yarn' with {name}={value!r} is not supported; supported: without {name}, "
                "where cos and sin are scaled by 0.1·ln(factor) + 1"
            )
    return YarnScaling(
        factor=turning.positive("factor"),
        original_context=turning.count("original_max_position_embeddings", context),
        beta_fast=turning.positive("beta_fast", 32.0),
        beta_slow=turning.positive("beta_slow", 1.0),
    )


SCALINGS: dict[str, Callable[[Options, int], Scaling]] = {
    "default": lambda turning, context: NoScaling(),
    "linear": lambda turning, context: LinearScaling(factor=turning.positive("factor")),
    "llama3": lambda turning, context: Llama3Scaling(
        factor=turning.positive("factor"),
        low=turning.positive("low_freq_factor"),
        high=turning.positive("high_freq_factor"),
        original_context=turning.count("original_max_position_embeddings"),
    ),
    "yarn": _yarn,
}
"""rope_type -> our scaling."""


def write_rope(position: Position | None) -> dict[str, Any]:
    """The fields of both generations for rotary positions; nothing for others."""
    if not isinstance(position, Rope):
        return {}
    parameters = rope_parameters(position)
    scaling = {name: value for name, value in parameters.items() if name != "rope_theta"}
    older = None if scaling["rope_type"] == "default" else scaling
    return {"rope_theta": position.theta, "rope_scaling": older, "rope_parameters": parameters}


def rope_parameters(rope: Rope) -> dict[str, Any]:
    """One object of rotary parameters as transformers 5 has it."""
    return {"rope_theta": rope.theta} | _scaling(rope.scaling)


def _scaling(scaling: Scaling) -> dict[str, Any]:
    match scaling:
        case NoScaling():
            return {"rope_type": "default"}
        case LinearScaling():
            return {"rope_type": "linear", "factor": scaling.factor}
        case Llama3Scaling():
            return {
                "rope_type": "llama3",
                "factor": scaling.factor,
                "low_freq_factor": scaling.low,
                "high_freq_factor": scaling.high,
                "original_max_position_embeddings": scaling.original_context,
            }
        case YarnScaling():
            return {
                "rope_type": "yarn",
                "factor": scaling.factor,
                "original_max_position_embeddings": scaling.original_context,
                "beta_fast": scaling.beta_fast,
                "beta_slow": scaling.beta_slow,
            }
        case NTKScaling():
            return {"rope_type": "default", "factor": scaling.factor}


Entry = TypeVar("Entry")


def pattern(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """The shortest beginning that, tiled, gives them all."""
    lengths = range(1, len(entries) + 1)
    length = next(n for n in lengths if all(entry == entries[i % n] for i, entry in enumerate(entries)))
    return tuple(entries[:length])
