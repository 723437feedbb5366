"""How many tokens a router in bfloat16 sends elsewhere than one in float32, with the same weights."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.compare.measures.subject import Found, Subject
from oneblock.nn.experts.router import PRECISIONS, Router
from oneblock.train.evaluate import evaluating

ROWS = 16


def measure(subject: Subject) -> Found:
    """Share of the tokens whose first expert is another one, mean over the mixtures; NaN without any."""
    given: list[tuple[Router, Tensor]] = []

    def look(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, Router)
        given.append((module, inputs[0].detach()))

    routers = [module for module in subject.model.modules() if isinstance(module, Router)]
    handles = [router.register_forward_pre_hook(look) for router in routers]
    with evaluating(subject.model):
        subject.model(subject.windows(subject.context, ROWS))
    for handle in handles:
        handle.remove()
    shares = [_moved(router.weight.detach(), x_BTD) for router, x_BTD in given]
    return Found(measures={"moved": sum(shares) / len(shares) if shares else math.nan})


def _moved(weight_ED: Tensor, x_BTD: Tensor) -> float:
    first = []
    for type_for in PRECISIONS.values():
        dtype = type_for(x_BTD.dtype)
        first.append(F.linear(x_BTD.to(dtype), weight_ED.to(dtype)).softmax(-1).argmax(-1))
    return float(torch.not_equal(*first).double().mean())
