"""For E2: numbers that a model's own code drops in training and does not scale up, so that eval mode sees larger ones.

torch's dropouts divide by what they keep, and are taken out. What is drawn then is drawn by code of one's own: the
first tensor that it moves must have, over many draws, the mean that it has in eval mode.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from oneblock.doctor.checks.check import BAD, said
from oneblock.doctor.finding import Finding
from oneblock.doctor.locate import Event, events
from oneblock.doctor.look import names_of, place
from oneblock.doctor.patient import Patient, difference

DRAWS, OFF, SURE = 32, 0.03, 6.0
RANDOM = ("rand", "rand_like", "randn", "randn_like", "bernoulli", "bernoulli_", "uniform_", "normal_", "randint")
DROPS = ("dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d", "feature_dropout", "alpha_dropout")


@dataclass
class Undropped(TorchFunctionMode):
    """torch's own dropouts do nothing; where anything else is drawn is noted."""

    names: dict[int, str] = field(default_factory=dict)
    drawn: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs, given = getattr(func, "__name__", ""), dict(kwargs or {}), list(args)
        if name in DROPS:
            return args[0] if args else kwargs["input"]
        at = {"scaled_dot_product_attention": 4, "multi_head_attention_forward": 10}.get(name, -1)
        if at >= 0 and len(given) > at:
            given[at] = 0.0
        elif at >= 0:
            kwargs["dropout_p"] = 0.0
        if name in RANDOM and len(self.drawn) < 8:
            self.drawn.append(place(self.names))
        return func(*given, **kwargs)


def unscaled(patient: Patient) -> Finding | None:
    """A WARN where the mean over draws in train mode is not what eval mode has; None where all is well, or unclear."""
    model = patient.stirred.on(copy.deepcopy(patient.stirred.thing))
    x = model.sample(2, min(9, model.max_len), patient.seed)
    mode = Undropped(names=names_of(model.module))

    def run(seed: int) -> list[Event]:
        torch.manual_seed(seed)
        with mode:
            return events(model.module, lambda: model(x))

    still = run(0)
    model.module.train()
    first = run(1)
    if not mode.drawn or [e.name for e in first] != [e.name for e in still]:
        return None
    second = run(2)
    at = next((n for n, pair in enumerate(_pairs(first, second)) if difference(*pair) > BAD), None)
    if at is None:
        return None
    wanted = [pair[0] for pair in _pairs(still, first)][at].double()
    before = [difference(*pair) for pair in list(_pairs(still, first))[:at]]
    simplex = bool((wanted >= 0).all()) and float((wanted.sum(-1) - 1).abs().max()) < BAD
    if max(before, default=0.0) > BAD or simplex:
        # Something else is another in train mode, or what is drawn decides among experts.
        return None
    draws = torch.stack([list(_pairs(run(10 + n), still))[at][0].double() for n in range(DRAWS)])
    if draws.shape[1:] != wanted.shape or not bool(draws.isfinite().all()):
        return None
    noise = draws.var(0) / DRAWS
    gap, size = (draws.mean(0) - wanted).square() - noise, float(wanted.square().sum())
    error = float((2 * noise.square() + 4 * noise * (draws.mean(0) - wanted).square()).sum().sqrt())
    bias = max(0.0, float(gap.sum())) / size if size else 0.0
    if not (bias > OFF**2 and float(gap.sum()) > SURE * error):
        return None
    slope = float((draws.mean(0) * wanted).sum()) / size
    note = (
        f"in train mode something is drawn whose mean is not what eval mode has: over {DRAWS} draws it is "
        f"{slope:.2f} of it, {bias**0.5:.0%} away"
    )
    source = "torch's dropouts divide by what they keep, so that both modes see one mean"
    repair = "divide by the share that is kept: x * mask / (1 - p), or F.dropout(x, p, self.training)"
    return said("WARN", note, value=slope, threshold=1.0, source=source, where=mode.drawn[0], repair=repair)


def _pairs(one: list[Event], other: list[Event]) -> list[tuple[Tensor, Tensor]]:
    """Tensors of two runs side by side: what each module was given, then what it gave."""
    found = []
    for a, b in zip(one, other, strict=False):
        for left, right in ((a.given, b.given), (a.gave, b.gave)):
            found += [(u, v) for u, v in zip(left, right, strict=False) if u.shape == v.shape]
    return found
