"""What a page draws of a patient beside its findings: who sees whom, the stream, the attention, what stands where."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from oneblock.doctor.checks.check import GOOD
from oneblock.doctor.checks.leaks import paths
from oneblock.doctor.finding import Report
from oneblock.doctor.layers import blocks
from oneblock.doctor.look import Seen, attentions
from oneblock.doctor.pages.anatomy import flow_of
from oneblock.doctor.patient import Patient, difference
from oneblock.doctor.restore import left_as_found
from oneblock.doctor.target import Target
from oneblock.inspect.dataflow import Dataflow

T = TypeVar("T")
TOKENS, MOST = 16, 34
PLAIN = "eval"
PATH = re.compile(r"(?:.*\bon )?(.+), (\d+) tokens$")


@dataclass(frozen=True, kw_only=True)
class Sees:
    """On one path of calling, how far the answer at place t (rows) moves when token s (columns) is changed.

    places: the t and s that were asked. forbidden: whether what stands above the diagonal is a fault.
    """

    path: str
    places: tuple[int, ...]
    moves: tuple[tuple[float, ...], ...]
    forbidden: bool


@dataclass(frozen=True, kw_only=True)
class Views:
    """All that is drawn; empty where it could not be had.

    stream:   (name, root mean square at each token) where the blocks begin and after each
    entropy:  for each attention and head, the median entropy of its weights as a share of uniform ones'
    """

    sees: tuple[Sees, ...] = ()
    stream: tuple[tuple[str, tuple[float, ...]], ...] = ()
    entropy: tuple[tuple[float, ...], ...] = ()
    flow: Dataflow | None = None
    parameters: int = 0


def view(patient: Patient, report: Report) -> Views:
    """Look at copies of a patient; what cannot be had is left out, and the model is left as it was."""
    with (
        warnings.catch_warnings(),
        torch.random.fork_rng(devices=[]),
        left_as_found(patient.target.module),
        torch.no_grad(),
    ):
        warnings.simplefilter("ignore")
        return Views(
            sees=_tried(lambda: tuple(_sees(patient, report)), ()),
            stream=_tried(lambda: _stream(patient), ()),
            entropy=_tried(lambda: _entropy(patient), ()),
            flow=_tried(lambda: flow_of(patient, report), None),
            parameters=patient.size,
        )


def influence(target: Target, call: Callable[[Tensor], Tensor], length: int, seed: int) -> Sees:
    """Change one token at a time, and see which answers move. places are even ones where there are many."""
    places = tuple(
        sorted({round(n * (length - 1) / (MOST - 1)) for n in range(MOST)} if length > MOST else range(length))
    )
    x, other = target.sample(1, length, seed), target.sample(1, length, seed + 1)
    columns = []
    plain = _answer(call, x, seed)
    cut = length - plain.shape[1]
    for s in places:
        changed = x.clone()
        changed[:, s] = (x[:, s] + 1) % target.vocab_size if target.takes == "tokens" else other[:, s]
        moved = _answer(call, changed, seed)
        columns.append([difference(moved[:, t - cut], plain[:, t - cut]) if t >= cut else 0.0 for t in places])
    return Sees(path="", places=places, moves=tuple(zip(*columns, strict=True)), forbidden=False)


def shares(seen: Sequence[Seen], batch: int) -> tuple[tuple[float, ...], ...]:
    """For each attention and head: median over queries of entropy / ln(visible keys), of those with three or more."""
    found = []
    for each in seen:
        weights = each.weights.double()
        if weights.dim() == 3:  # heads folded into the batch
            weights = weights.unflatten(0, (batch, -1))
        entropy = -(weights * weights.clamp(min=1e-30).log()).sum(-1)
        visible = (weights > 0).sum(-1).double()
        share = torch.where(visible > 2, entropy / visible.clamp(min=2).log(), torch.nan)
        found.append(tuple(share.transpose(0, 1).flatten(1).nanmedian(-1).values.tolist()))
    return tuple(found)


def _answer(call: Callable[[Tensor], Tensor], x: Tensor, seed: int) -> Tensor:
    torch.manual_seed(seed)
    return call(x)


def _sees(patient: Patient, report: Report) -> list[Sees]:
    """The plain path, and the first path that is said to leak, if that is another one."""
    target = patient.target
    if target.takes == "images":
        return []
    fault = next((each for each in report.failed if each.id == "C1"), None)
    # "…, on eval, 5 tokens; train, 33 tokens": the paths, behind the module and line where they could be found.
    wrong = [match for entry in (fault.where.split("; ") if fault else ()) if (match := PATH.search(entry))]
    names = {match[1]: int(match[2]) for match in reversed(wrong)}
    found = [_of(patient, PLAIN, patient.stirred, min(TOKENS, target.max_len), fault is not None)]
    if PLAIN not in names or names[PLAIN] > TOKENS:
        for name, length, call in paths(patient) if names else ():
            if names.get(name) == length:
                found.append(_of(patient, name, call, length, True))
                break
    return found


def _of(patient: Patient, path: str, call: Callable[[Tensor], Tensor], length: int, wrong: bool) -> Sees:
    seen = influence(patient.target.on(patient.stirred.thing), call, length, patient.seed)
    pairs = [(t, s) for t in range(len(seen.places)) for s in range(t + 1, len(seen.places))]
    ahead = any(seen.moves[t][s] > GOOD for t, s in pairs)
    return Sees(path=path, places=seen.places, moves=seen.moves, forbidden=wrong and ahead)


def _stream(patient: Patient) -> tuple[tuple[str, tuple[float, ...]], ...]:
    model = patient.plain
    calls = blocks(model, model.sample(1, min(TOKENS, patient.target.max_len), patient.seed))
    if not calls:
        return ()
    streams = [("in", calls[0].given), *((str(n + 1), each.out) for n, each in enumerate(calls))]
    return tuple((name, tuple(x[0].double().square().mean(-1).sqrt().tolist())) for name, x in streams)


def _entropy(patient: Patient) -> tuple[tuple[float, ...], ...]:
    model, batch = patient.plain, 2
    return shares(attentions(model, model.sample(batch, min(TOKENS, patient.target.max_len), patient.seed)), batch)


def _tried(get: Callable[[], T], otherwise: T) -> T:
    try:
        return get()
    except Exception:
        return otherwise
