"""The stream through a model: what joins it, and where the norms stand.

Whether a norm stands in front of a branch or on the stream itself shows only at what joins next, so every reading that
is still possible is carried on, the usual ones first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from oneblock.doctor.parity.anatomy import Anatomy, Unreadable
from oneblock.doctor.parity.compare import SAME
from oneblock.doctor.parity.norms import CLOSE, EPS, fit_norm, gap, ratio, tidy
from oneblock.doctor.parity.trace import Step
from oneblock.doctor.parity.twin import ADDED, NO_NORM, Choices, Reading

MOST = 8
"""Readings carried on at once."""


@dataclass(frozen=True)
class Way:
    """One reading so far: the stream, what the last branch was given, what was chosen."""

    x: Tensor
    a: Tensor
    choices: dict[str, Choices]
    tensors: dict[str, Tensor | None]
    names: dict[str, tuple[str, ...]]
    skipped: Tensor | None = None

    def fits(self, place: str, step: Step, x: Tensor, guess: Guess) -> tuple[Way, Tensor, float]:
        """With a norm read at a place, what it gives, and how far that is off."""
        wanted = step.out.reshape(x.shape)
        found, off = fit_norm(x, step.gain, step.bias, wanted, guess(place, self.choices))
        return self.put(place, found, step), wanted, off

    def put(self, place: str, found: Choices, step: Step | None = None) -> Way:
        """With choices at a place, and the vectors of a step."""
        tensors, names = dict(self.tensors), dict(self.names)
        if step is not None:
            tensors |= {f"{place}.gain": step.gain, f"{place}.bias": step.bias}
            biases = tuple(name for name in step.names if name.endswith("bias"))
            gains = tuple(name for name in step.names if name not in biases)
            names |= {f"{place}.gain": gains or step.names, f"{place}.bias": biases or step.names}
        return replace(self, choices=self.choices | {place: found}, tensors=tensors, names=names)


Guess = Callable[[str, dict[str, Choices]], tuple[Choices | None, ...]]


def follow(anatomy: Anatomy, tokens: Tensor, other: Reading | None) -> Way:
    """The first reading of the whole stream that holds; Unreadable where none does, with the place."""
    guess = _guesses(other)
    ways = list(_entries(anatomy, tokens, guess))
    if not ways:
        raise Unreadable("what enters its first layer is not the embedding with positions and norms that are known")
    size = (*tokens.shape, -1)
    for i, layer in enumerate(anatomy.layers):
        place = f"layers.{i}"
        after_it = anatomy.layers[i + 1].before if i + 1 < len(anatomy.layers) else anatomy.last
        following = anatomy.layers[i + 1].qkv[0] if i + 1 < len(anatomy.layers) else anatomy.head
        then = f"layers.{i + 1}.attention.before" if i + 1 < len(anatomy.layers) else "final"
        out, y = layer.output.out.reshape(size), layer.up[0].given.reshape(size)
        found = [w for way in ways for w in _meet(way, out, y, layer.between, f"{place}.attention", place, guess)]
        ways = _few(found, f"layer {i}: between attention and feed-forward", other)
        out, y = layer.down.out.reshape(size), following.given.reshape(size)
        found = [w for way in ways for w in _join(way, out, y, after_it, f"{place}.feed_forward", then, guess)]
        ways = _few(found, f"layer {i}: behind the feed-forward", other)
    return ways[0]


def _few(found: list[Way], where: str, other: Reading | None) -> list[Way]:
    if not found:
        raise Unreadable(f"{where}, residual and norm are none that are known")
    return sorted(found, key=lambda way: _odd(way, other))[:MOST]


def _odd(way: Way, other: Reading | None) -> tuple[int, int]:
    """How far it is from the other model, and from what is usual: several readings can be one function.

    A residual after the norm and a post-norm are one; and so are, but for eps, twice the stream and half the branch.
    """
    theirs = other.choices if other is not None else {}
    away = {
        (place.rpartition("layers.")[2].partition(".")[2], str(_form(choice)), str(_form(theirs[place])))
        for place, choice in way.choices.items()
        if place in theirs and _form(choice) != _form(theirs[place])
    }
    strange = sum(choice != ADDED for place, choice in way.choices.items() if place.endswith(".residual"))
    strange += sum(choice.get("eps", 0.0) not in EPS for choice in way.choices.values())
    return len(away) + (_moved(way, other) if other is not None else 0), strange


def _moved(way: Way, other: Reading) -> int:
    """How many gains belong to other branches than in the other model, where it has them at all."""
    gains = [(role.rpartition(".")[0], each) for role, each in other.tensors.items() if role.endswith(".gain")]
    count = 0
    for role, own in way.tensors.items():
        if role.endswith(".gain") and own is not None:
            places = [place for place, gain in gains if gain is not None and gap(gain, own) <= SAME]
            count += bool(places) and role.rsplit(".", 2)[0] not in [place.rpartition(".")[0] for place in places]
    return count


def _form(choice: Choices) -> Choices:
    """What is decided at a place, with eps, which tells a scaled stream."""
    return {key: choice.get(key) for key in ("kind", "place", "parallel", "skip", "branch", "from", "norm", "eps")}


def _guesses(other: Reading | None) -> Guess:
    """The other model's choices at a place, then this one's of the layer before."""

    def guess(place: str, own: dict[str, Choices]) -> tuple[Choices | None, ...]:
        _, _, branch = place.rpartition("layers.")
        ending = branch.partition(".")[2]
        earlier = [name for name in own if ending and name.endswith(ending)][-1:]
        first = other.choices.get(place) if other is not None else None
        return (first, *(own.get(name) for name in earlier), own.get("layers.0.attention.before"))

    return guess


def _entries(anatomy: Anatomy, tokens: Tensor, guess: Guess) -> Iterator[Way]:
    table, norms = anatomy.embed.matrix, anatomy.layers[0].before
    assert table is not None
    y = anatomy.layers[0].qkv[0].given.reshape(*tokens.shape, -1)
    looked = table[tokens]
    rows, bases = anatomy.rows, [(m, anatomy.rows) for m in _multiples(looked, anatomy.pool)]
    if rows is not None:
        bases += [(m, m * rows) for m in _multiples(looked + rows, anatomy.pool) if m != 1]
    tensors = {"embedding.weight": table, "head.weight": anatomy.head.matrix, "head.bias": anatomy.head.bias}
    names = {"embedding.weight": anatomy.embed.names, "position.rows": anatomy.row_names}
    names |= {"head.weight": anatomy.head.names, "head.bias": anatomy.head.names}
    first = "layers.0.attention.before"
    for scale, added in bases:
        x = looked * scale if added is None else looked * scale + added
        found: dict[str, Choices] = {"embedding": {"scale": scale, "norm": NO_NORM}, first: NO_NORM}
        way = Way(x, y, found, tensors | {"position.rows": added}, names)
        if not norms and gap(x, y) < CLOSE:
            yield way
        if len(norms) == 1:
            normed, _, off = way.fits(first, norms[0], x, guess)
            if off < CLOSE and gap(norms[0].out.reshape(y.shape), y) < CLOSE:
                yield normed
        if len(norms) in (1, 2):
            normed, x, off = way.fits("embedding.norm", norms[0], x, guess)
            choice = normed.choices["embedding.norm"]
            normed = replace(normed.put("embedding", {"scale": scale, "norm": choice}), x=x)
            if off < CLOSE and len(norms) == 1:
                yield normed
            elif off < CLOSE:
                normed, _, off = normed.fits(first, norms[1], x, guess)
                if off < CLOSE:
                    yield normed


def _multiples(x: Tensor, pool: list[Tensor]) -> list[float]:
    """By what x is multiplied in what was seen, the last one first; 1 where nothing of the kind was seen."""
    found = []
    for tensor in pool:
        other = tensor.reshape(x.shape)
        k = float((other * x).sum() / x.square().sum().clamp(min=1e-30))
        if abs(k) > 1e-6 and gap(k * x, other) < 1e-6:
            found.append(tidy(k))
    return list(dict.fromkeys([*reversed(found), 1.0]))


def _meet(way: Way, out: Tensor, y: Tensor, steps: list[Step], branch: str, place: str, guess: Guess) -> Iterator[Way]:
    """Between attention and feed-forward: one after the other, or side by side."""
    before = f"{place}.feed_forward.before"
    for found in _join(way, out, y, steps, branch, before, guess):
        yield found.put(place, {"parallel": False})
    plain = way.put(f"{branch}.residual", ADDED).put(f"{branch}.after", NO_NORM).put(place, {"parallel": True})
    plain = replace(plain, x=way.x + out, a=y)
    if len(steps) == 1:
        found, _, off = plain.fits(before, steps[0], way.x, guess)
        if off < CLOSE:
            yield found
    if not steps and gap(way.a, y) < CLOSE:
        own = f"{place}.attention.before"
        shared: dict[str, Tensor | None] = {f"{before}.{v}": way.tensors.get(f"{own}.{v}") for v in ("gain", "bias")}
        yield replace(plain.put(before, way.choices[own]), tensors=plain.tensors | shared)


def _join(way: Way, out: Tensor, y: Tensor, steps: list[Step], branch: str, then: str, guess: Guess) -> Iterator[Way]:
    """What a branch gives joins the stream, and the next projection is given y."""
    count = len(steps)
    shapes = {0: ["", "ghost"], 1: ["before", "stream", "out"], 2: ["out before", "stream before"]}.get(count, [])
    for shape in shapes:
        for residual in _residuals(way, out, y, steps, shape):
            kept = way.put(f"{branch}.residual", residual).put(f"{branch}.after", NO_NORM).put(then, NO_NORM)
            base = residual["skip"] * (way.a if residual["from"] == "norm" else way.x)
            off, rest, given = 0.0, list(steps), out
            if shape.startswith("out"):
                kept, given, off = kept.fits(f"{branch}.after", rest.pop(0), out, guess)
                kept = kept.put(f"{branch}.after", kept.choices[f"{branch}.after"] | {"place": "out"})
            x = base + residual["branch"] * given
            if shape.startswith("stream"):
                kept, x, more = kept.fits(f"{branch}.after", rest.pop(0), x, guess)
                kept = kept.put(f"{branch}.after", kept.choices[f"{branch}.after"] | {"place": "stream"})
                off = max(off, more)
            last = x
            if "before" in shape:
                kept, last, more = kept.fits(then, rest.pop(0), x, guess)
                off = max(off, more)
            if shape == "ghost":
                found, more = fit_norm(x, None, None, y, guess(then, kept.choices))
                kept, last, off = kept.put(then, found), y, more
            if off < CLOSE and gap(last, y) < CLOSE:
                yield replace(kept, x=x, a=y)
                if residual == ADDED:
                    break


def _residuals(way: Way, out: Tensor, y: Tensor, steps: list[Step], shape: str) -> Iterator[Choices]:
    """Usual ones first, then what can be solved for."""
    yield ADDED
    yield ADDED | {"skip": 0.0}
    yield ADDED | {"from": "norm"}
    yield ADDED | {"skip": 2.0}
    if shape in ("", "out"):
        given = steps[0].out.reshape(y.shape) if steps else out
        columns = torch.stack([way.x.flatten(), given.flatten()], -1)
        skip, branch = torch.linalg.lstsq(columns, y.reshape(-1, 1)).solution.flatten().tolist()
        yield ADDED | {"skip": tidy(skip), "branch": tidy(branch)}
        return
    step = steps[-1] if steps else None
    given = steps[0].out.reshape(y.shape) if shape == "out before" else out
    gain, bias = (step.gain, step.bias) if step is not None else (None, None)
    for form in (gain, None if gain is None else gain + 1):
        for k in ratio(way.x, given, form, bias, y):
            yield ADDED | {"branch": k}
