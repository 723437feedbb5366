"""`Change`: one thing that a person would do to one model to get the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PATHS = {
    "norm": "block.norm",
    "norm eps": "block.norm.eps",
    "norm gain": "block.norm.one_plus",
    "norm placement": "block.placement",
    "final norm": "final_norm",
    "embedding norm": "embedding_norm",
    "residual": "block.residual",
    "parallel": "block.steps",
    "rope": "block.attention.position.style",
    "rope base": "block.attention.position.theta",
    "rope fraction": "block.attention.position.fraction",
    "attention scale": "block.attention.scale",
    "attention cap": "block.attention.soft_cap",
    "mask": "block.attention.window",
    "alibi": "block.attention.position",
    "heads": "block.attention.num_heads",
    "activation": "block.feed_forward.activation",
    "embedding scale": "embedding_scale",
    "logit cap": "logit_soft_cap",
    "tying": "tied",
    "positions": "position",
    "layers": "num_layers",
    "query and key norm": "block.attention.qk_norm",
}
"""Changes that a configuration of ours can say -> its path."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference: what, how it is in the reference and in the target, in which layers ((): not of layers; all).

    parameters: of the target's file. moves: what to take over from the other reading, (place, field) or (role, "").
    """

    what: str
    reference: Any
    target: Any
    layers: tuple[int, ...] = ()
    places: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    moves: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "change": self.what,
            "path": PATHS.get(self.what, ""),
            "reference": self.reference,
            "target": self.target,
            "layers": list(self.layers),
            "places": list(self.places),
            "parameters": list(self.parameters),
            "says": str(self),
        }

    def __str__(self) -> str:
        at = f" in layer{'s' if len(self.layers) > 1 else ''} {', '.join(map(str, self.layers))}" if self.layers else ""
        at += f" ({', '.join(self.places)})" if self.places else ""
        own = (
            f" [{', '.join(self.parameters[:3])}{', …' if len(self.parameters) > 3 else ''}]" if self.parameters else ""
        )
        return f"{self.what}{at}: {_said(self.target)}; the reference has {_said(self.reference)}{own}"


def _said(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "none" if value is None else str(value)
