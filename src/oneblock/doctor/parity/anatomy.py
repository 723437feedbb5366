"""From a trace to the anatomy of a decoder: which matrix is which, by the order of use and by what stands between.

A transformer is its matrices, and between two of them a small function. Attention divides the matrices into layers;
before it stand queries, keys and values, after it the output, then the feed-forward.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from oneblock.doctor.parity.trace import Step, Trace


class Unreadable(Exception):
    """A model that is no decoder of the twin's form, with the reason."""


@dataclass
class Layer:
    """The steps of one layer. Norms are what stands in front of the projection, inside attention, and so on."""

    qkv: list[Step]
    output: Step
    up: list[Step]
    down: Step
    heads: int
    before: list[Step] = field(default_factory=list)
    inside: list[Step] = field(default_factory=list)
    between: list[Step] = field(default_factory=list)
    parallel: bool = False


@dataclass
class Anatomy:
    """A decoder in parts; `last` are the norms after the last layer, `pool` all tensors before the first matrix."""

    embed: Step
    rows: Tensor | None
    row_names: tuple[str, ...]
    layers: list[Layer]
    last: list[Step]
    head: Step
    pool: list[Tensor]
    logits: Tensor


def dissect(trace: Trace) -> Anatomy:
    """The parts, or Unreadable with the reason."""
    steps = joined(trace.steps)
    embeds = [each for each in steps if each.kind == "embed"]
    if len(embeds) != 1:
        raise Unreadable(f"it looks tokens up {len(embeds)} times, where a decoder does so once")
    if any(each.kind == "lookup" and each.matrix is not None and each.matrix.dim() > 2 for each in steps):
        raise Unreadable("it looks matrices up by data")
    marks = _attentions(steps)
    if not marks:
        raise Unreadable("no attention can be seen in it")
    matrices = [i for i, each in enumerate(steps) if each.kind == "matrix"]
    front = sum(i < marks[0][0] for i in matrices)
    if front not in (1, 2, 3):
        raise Unreadable(f"{front} matrices stand before its first attention, where there are one to three")
    layers, end = [], -1
    for number, (start, stop, heads) in enumerate(marks):
        after = marks[number + 1][0] if number + 1 < len(marks) else len(steps)
        here = [i for i in matrices if stop < i < after]
        tail = front if number + 1 < len(marks) else 1
        own = here[: len(here) - tail]
        if len(own) not in (3, 4):
            raise Unreadable(f"{len(own)} matrices follow attention {number}, where output, up (gate) and down do")
        qkv = [i for i in matrices if end < i < start]
        layer = Layer([steps[i] for i in qkv], steps[own[0]], [steps[i] for i in own[1:-1]], steps[own[-1]], heads)
        layer.before = _norms(steps, end, qkv[0])
        layer.inside = _norms(steps, qkv[0], own[0])
        layer.between = _norms(steps, own[0], own[1])
        layers.append(layer)
        end = own[-1]
    head = [i for i in matrices if i > end]
    table, names = _table(steps, matrices[0])
    assert trace.logits is not None
    first = steps[matrices[0]]
    return Anatomy(
        embeds[0],
        table,
        names,
        layers,
        _norms(steps, end, head[0]),
        steps[head[0]],
        _before(trace, first),
        trace.logits,
    )


def joined(steps: list[Step]) -> list[Step]:
    """Gains and biases that follow one another as one norm."""
    found: list[Step] = []
    for step in steps:
        last = found[-1] if found else None
        if step.kind == "bias" and last is not None and last.kind in ("norm", "gain") and last.made == step.came:
            last.bias, last.made, last.out = step.bias, step.made, step.out
            last.names = (*last.names, *step.names)
        elif step.kind == "gain" and last is not None and last.kind == "norm" and last.gain is None:
            last.gain, last.made, last.out, last.names = step.gain, step.made, step.out, step.names
        else:
            found.append(step)
    return found


def _attentions(steps: list[Step]) -> list[tuple[int, int, int]]:
    """First and last step of each attention, and its heads: one fused step, or two products of data with data."""
    found, open_at = [], -1
    for i, step in enumerate(steps):
        if step.kind == "attention":
            found.append((i, i, step.heads))
        elif step.kind == "product" and open_at < 0:
            open_at = i
        elif step.kind == "product":
            found.append((open_at, i, steps[open_at].heads))
            open_at = -1
    return found


def _norms(steps: list[Step], start: int, stop: int) -> list[Step]:
    return [each for each in steps[start + 1 : stop] if each.kind in ("norm", "gain")]


def _table(steps: list[Step], stop: int) -> tuple[Tensor | None, tuple[str, ...]]:
    """What is added to the embedding for each position."""
    rows: Tensor | None = None
    names: tuple[str, ...] = ()
    for each in steps[:stop]:
        if each.kind == "table" and each.matrix is not None:
            rows = each.matrix if rows is None else rows + each.matrix
            names = (*names, *each.names)
    return rows, names


def _before(trace: Trace, first: Step) -> list[Tensor]:
    """Tensors of the stream's size, up to what enters the first matrix."""
    found = []
    for tensor in trace.pool:
        if tensor.numel() == first.given.numel():
            found.append(tensor)
            if tensor.shape == first.given.shape and bool((tensor == first.given).all()):
                break
    return found
