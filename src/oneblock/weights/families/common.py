"""What families share: words for activations, rotary positions in both generations of config.json, patterns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def read_rope(options: Options, default_theta: float, *, context: int = 2048) -> Rope:
    """Rotary positions: `rope_parameters` of transformers 5, or `rope_theta` and `rope_scaling` of transformers 4."""
    theta = options.get("rope_theta", None)
    newer, older = options.get("rope_parameters", None), options.get("rope_scaling", None)
    return rope_of(newer or older or {}, options.where, theta or default_theta, None, context)


def rope_of(fields: Mapping[str, Any], where: str, theta: float, fraction: float | None, context: int) -> Rope:
    """One object of rotary parameters. `fraction`: of a family whose heads turn in part; None: all of it turns."""
    if fraction is None and fields.get("partial_rotary_factor", 1.0) not in (None, 1.0):
        raise WeightsError(
            f"{where}: partial_rotary_factor={fields['partial_rotary_factor']} is not supported here; supported: 1.0"
        )
    kind = fields.get("rope_type", fields.get("type", "default"))
    if kind not in SCALINGS:
        raise WeightsError(f"{where}: rope_type={kind!r} is not supported; supported: {', '.join(SCALINGS)}")
    if kind == "yarn":
        _check_yarn(fields, where)
    try:
        scaling = SCALINGS[kind](fields, context)
    except KeyError as error:
        raise WeightsError(f"{where}: rope_type={kind!r} needs {error.args[0]}, which is missing") from error
    return Rope(
        theta=float(fields.get("rope_theta") or theta),
        fraction=1.0 if fraction is None else fraction,
        scaling=scaling,
    )


SCALINGS: dict[str, Any] = {
    "default": lambda fields, context: NoScaling(),
    "linear": lambda fields, context: LinearScaling(factor=float(fields["factor"])),
    "llama3": lambda fields, context: Llama3Scaling(
        factor=float(fields["factor"]),
        low=float(fields["low_freq_factor"]),
        high=float(fields["high_freq_factor"]),
        original_context=int(fields["original_max_position_embeddings"]),
    ),
    "yarn": lambda fields, context: YarnScaling(
        factor=float(fields["factor"]),
        original_context=int(fields.get("original_max_position_embeddings") or context),
        beta_fast=float(fields.get("beta_fast") or 32.0),
        beta_slow=float(fields.get("beta_slow") or 1.0),
    ),
}
"""rope_type -> our scaling."""


def _check_yarn(fields: Mapping[str, Any], where: str) -> None:
    for name, usual in {"attention_factor": None, "mscale": None, "mscale_all_dim": None, "truncate": True}.items():
        if fields.get(name, usual) not in (usual, None):
            raise WeightsError(
                f"{where}: rope_type='yarn' with {name}={fields[name]!r} is not supported; supported: without {name}, "
                "where cos and sin are scaled by 0.1·ln(factor) + 1"
            )


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
