"""`--depth-report`: one model at several depths, and what changes: stream, norms, start, largest logit, gradient."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneblock.doctor.calling import seeded
from oneblock.doctor.checks import CHECKS
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.layers import Called, blocks
from oneblock.doctor.look import attentions
from oneblock.doctor.patient import Patient
from oneblock.doctor.rebuilding import TOO_LARGE, rebuilt
from oneblock.doctor.restore import left_as_found
from oneblock.doctor.target import Target

LAYERS = (12, 24, 36)
LENGTH, BATCH = 33, 2
HIDDEN = -1e4
"""Scores below are masked ones."""


@dataclass(frozen=True, kw_only=True)
class Depth:
    """One depth, with fresh weights, on random tokens.

    stream:    root mean square where the blocks begin and after each
    gradients: norm of each block's gradient, of a loss on random labels
    logits:    largest |score| in sight, for each attention
    spread:    std·√inputs of each matrix of the first block
    """

    layers: int
    parameters: int
    loss: float
    stream: tuple[float, ...]
    gradients: tuple[float, ...]
    logits: tuple[float, ...]
    spread: dict[str, float]

    @property
    def growth(self) -> float:
        """By what the blocks multiply the stream, the first one aside: what enters may be as small as it likes."""
        return self.stream[-1] / self.stream[1] if self.stream[1] else math.inf

    @property
    def unevenness(self) -> float:
        """The largest gradient of a block over the smallest."""
        low, high = min(self.gradients), max(self.gradients)
        return high / low if low > 0 else math.inf if high > 0 else 1.0


@dataclass(frozen=True, kw_only=True)
class DepthReport:
    """What several depths say; `refused`: why there is none."""

    placement: str = ""
    depths: tuple[Depth, ...] = ()
    refused: str = ""

    @property
    def failed(self) -> bool:
        """Whether one of the answers is a FAIL: something is not finite at a depth."""
        from oneblock.doctor.deep_answers import answers

        return any(each.status == "FAIL" for each in answers(self))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        from oneblock.doctor.deep_answers import answers

        return {
            "refused": self.refused,
            "placement": self.placement,
            "layers": [each.layers for each in self.depths],
            "answers": [asdict(each) for each in answers(self)],
            "depths": [
                asdict(each) | {"growth": each.growth, "gradient_unevenness": each.unevenness} for each in self.depths
            ],
        }


def depth_report(
    patient: Patient, layers: Sequence[int] = LAYERS, *, tell: Callable[[str], None] = lambda text: None
) -> DepthReport:
    """The patient's kind at each number of layers, weights fresh, the patient itself untouched.

    Where it cannot be rebuilt, `refused` says why and what would help.
    """
    depths, placement = [], ""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), left_as_found(patient.target.module):
        warnings.simplefilter("ignore")
        try:
            for count in layers:
                tell(f"{count} layers")
                _refuse_what_is_too_large(patient, count)
                model = patient.target.on(rebuilt(patient, count))
                depths.append(_measured(model, count, patient.seed))
                if not placement:
                    shallow = Patient(model, seed=patient.seed, expect=patient.expect, again=None)
                    with torch.no_grad():
                        placement = CHECKS["N1"].run(shallow).message
                del model
        except DoctorError as error:
            return DepthReport(refused=str(error))
    return DepthReport(placement=placement, depths=tuple(depths))


def _refuse_what_is_too_large(patient: Patient, count: int) -> None:
    with torch.no_grad():
        calls = _blocks(patient.plain, patient.seed)
    if not calls:
        raise DoctorError("no list of blocks that map B × T × D was found, so nothing can be told layer by layer")
    found = {id(each.block): sum(p.numel() for p in each.block.parameters()) for each in calls}
    size = patient.size + (count - len(found)) * max(found.values())
    if size > TOO_LARGE:
        raise DoctorError(
            f"with {count} layers it has about {size:,} parameters, too many to build beside it; give a narrower one"
        )


def _blocks(model: Target, seed: int) -> list[Called]:
    return blocks(model, model.sample(BATCH, min(LENGTH, model.max_len), seed))


def _measured(model: Target, count: int, seed: int) -> Depth:
    x = model.sample(BATCH, min(LENGTH, model.max_len), seed)
    with torch.no_grad():
        calls, seen = blocks(model, x), attentions(model, x)
    if len(calls) != count:
        raise DoctorError(
            f"asked for {count} layers it has {len(calls)}: its configuration's depth is not what it uses"
        )
    logits = []
    for each in seen:
        scores = each.scores[torch.isfinite(each.scores) & (each.scores > HIDDEN)]
        logits.append(float(scores.abs().max()) if scores.numel() else 0.0)
    first = calls[0].block
    return Depth(
        layers=count,
        parameters=sum(p.numel() for p in model.module.parameters()),
        loss=_backward(model, x),
        stream=tuple(_rms(each) for each in (calls[0].given, *(each.out for each in calls))),
        gradients=tuple(_gradient(each.block) for each in calls),
        logits=tuple(logits),
        spread={n: _spread(first, n, p) for n, p in first.named_parameters() if p.dim() > 1 and min(p.shape) > 1},
    )


def _backward(model: Target, x: Tensor) -> float:
    """A loss on random labels (random vectors, where it answers vectors), and its gradients."""
    with torch.enable_grad():
        answer = model(x)
        if model.says_tokens:
            labels = torch.randint(0, answer.shape[-1], answer.shape[:-1], generator=seeded(4))
            loss = F.cross_entropy(answer.flatten(0, -2).float(), labels.flatten())
        else:
            loss = F.mse_loss(answer, torch.randn(answer.shape, generator=seeded(3)))
        loss.backward()
    return float(loss.detach())


def _gradient(block: nn.Module) -> float:
    squares = [float(p.grad.double().square().sum()) for p in block.parameters() if p.grad is not None]
    return math.sqrt(sum(squares))


def _spread(block: nn.Module, name: str, p: Tensor) -> float:
    """std·√inputs: 1 keeps the size of what comes in. Hugging Face's `Conv1D` has its inputs first, as experts do."""
    owner = block.get_submodule(name.rpartition(".")[0])
    inputs = p.shape[-2] if type(owner).__name__ == "Conv1D" or p.dim() > 2 else p.shape[-1]
    return float(p.detach().double().std()) * inputs**0.5


def _rms(x: Tensor) -> float:
    return float(x.detach().double().square().mean().sqrt())
