"""`read(target, tokens)`: a model as the twin has it, proved by its own logits; or why it cannot be read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from oneblock.doctor.parity.anatomy import Anatomy, Layer, Unreadable, dissect
from oneblock.doctor.parity.core import fit_activation, fit_attention
from oneblock.doctor.parity.norms import CLOSE, fit_norm, gap, tidy
from oneblock.doctor.parity.stream import follow
from oneblock.doctor.parity.trace import Step, Trace
from oneblock.doctor.parity.twin import NO_NORM, Choices, Reading, answer, split


def read(trace: Trace, other: Reading | None = None) -> Reading:
    """The reading. other: of the model it is compared with, whose choices are guessed first.

    Unreadable, with the reason, where the model is no decoder of the twin's form, or a part of it does something that
    the twin cannot, or the twin answers otherwise.
    """
    try:
        anatomy = dissect(trace)
        reading = _filled(anatomy, trace.tokens, other)
    except Unreadable:
        raise
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, AssertionError) as error:
        raise Unreadable(f"its parts do not fit together: {type(error).__name__}") from error
    off = gap(answer(reading, trace.tokens), anatomy.logits)
    if not off < 10 * CLOSE:
        raise Unreadable(f"put together again it answers otherwise (by {off:.1e})")
    return reading


def _filled(anatomy: Anatomy, tokens: Tensor, other: Reading | None) -> Reading:
    way = follow(anatomy, tokens, other)
    reading = Reading(len(anatomy.layers), dict(way.choices), dict(way.tensors), dict(way.names))
    width = anatomy.layers[0].qkv[0].given.shape[-1]
    for i, layer in enumerate(anatomy.layers):
        first, second = f"layers.{i}.attention", f"layers.{i}.feed_forward"
        _matrices(reading, f"{first}.qkv", layer.qkv)
        _matrices(reading, f"{first}.output", [layer.output])
        _matrices(reading, f"{second}.up", layer.up)
        _matrices(reading, f"{second}.down", [layer.down])
        raw = torch.cat([each.out.reshape(*tokens.shape, -1) for each in layer.qkv], -1)
        wanted = layer.output.given.reshape(*tokens.shape, -1)
        sizes, guesses = _sizes(layer, raw, wanted), _guesses(reading, other, first, i)
        _norms_inside(reading, layer, first, raw, sizes, guesses)
        found, off = fit_attention(raw, wanted, sizes, reading.tensors, first, guesses, width)
        if not off < CLOSE:
            raise Unreadable(f"layer {i}: its attention is none that is known (nearest: {off:.1e} off)")
        reading.choices[first] = found
        raw = torch.cat([each.out.reshape(*tokens.shape, -1) for each in layer.up], -1)
        wanted = layer.down.given.reshape(*tokens.shape, -1)
        gated, guesses = raw.shape[-1] == 2 * wanted.shape[-1], _guesses(reading, other, second, i)
        found, off = fit_activation(raw, wanted, gated, len(layer.up) == 1, guesses)
        if not off < CLOSE:
            raise Unreadable(f"layer {i}: its activation is none that is known (nearest: {off:.1e} off)")
        reading.choices[second] = found
    reading.choices["logits"] = _logits(anatomy)
    return reading


def _matrices(reading: Reading, role: str, steps: list[Step]) -> None:
    """Side by side in the order of use; a missing bias beside others is zero."""
    matrices = [each.matrix for each in steps if each.matrix is not None]
    reading.tensors[f"{role}.weight"] = torch.cat(matrices, -1)
    biases = [each.bias for each in steps]
    if any(bias is not None for bias in biases):
        parts = [m.new_zeros(m.shape[-1]) if b is None else b for m, b in zip(matrices, biases, strict=True)]
        reading.tensors[f"{role}.bias"] = torch.cat(parts)
    names = tuple(dict.fromkeys(name for each in steps for name in each.names))
    reading.names[f"{role}.weight"] = reading.names[f"{role}.bias"] = names


def _sizes(layer: Layer, raw: Tensor, wanted: Tensor) -> Choices:
    heads = layer.heads
    if not heads or wanted.shape[-1] % heads:
        raise Unreadable(f"{heads} heads do not divide its attention's {wanted.shape[-1]} features")
    width = wanted.shape[-1] // heads
    groups, rest = divmod(raw.shape[-1] - wanted.shape[-1], 2 * width)
    if rest or groups < 1 or heads % groups:
        raise Unreadable("its queries, keys and values do not divide into heads")
    return {"heads": heads, "groups": groups, "head_width": width, "pieces": len(layer.qkv)}


def _guesses(reading: Reading, other: Reading | None, place: str, layer: int) -> list[Choices]:
    parts = place.split(".")
    earlier = [reading.choices.get(f"layers.{layer - 1}.{parts[-1]}"), other.choices.get(place) if other else None]
    return [each for each in reversed(earlier) if each is not None]


def _norms_inside(
    reading: Reading, layer: Layer, place: str, raw: Tensor, sizes: Choices, guesses: list[Choices]
) -> None:
    """Norms on queries and keys, in this order."""
    if not layer.inside:
        return
    if len(layer.inside) != 2:
        raise Unreadable(f"{len(layer.inside)} norms stand inside its attention")
    parts = split(raw, sizes | {"layout": guesses[0]["layout"] if guesses else "q, k, v"})
    for name, step, part in zip("qk", layer.inside, parts, strict=False):
        best: tuple[Choices, float] = (NO_NORM, float("inf"))
        own = tuple(guess.get(f"{name}_norm") for guess in guesses)
        for over in ("head", "all heads"):
            heads = part.unflatten(-1, (-1, sizes["head_width"]))
            for x in (part,) if over == "all heads" else (heads, heads.transpose(1, 2)):
                fits = x.shape == step.out.shape or (over == "all heads" and x.numel() == step.out.numel())
                if fits and (step.gain is None or step.gain.numel() == x.shape[-1]):
                    found, off = fit_norm(x, step.gain, step.bias, step.out.reshape(x.shape), own)
                    best = min(best, (found | {"over": over}, off), key=lambda pair: pair[1])
        if not best[1] < CLOSE and step.gain is None and step.given.shape[-1] == sizes["head_width"]:
            # Without a gain it is the same before and behind a rotation; the heads' answer will tell.
            found, off = fit_norm(step.given, None, None, step.out, own)
            best = found | {"over": "head"}, off
        if not best[1] < CLOSE:
            raise Unreadable("the norms inside its attention are not of queries and keys alone")
        sizes[f"{name}_norm"] = best[0]
        reading.tensors |= {f"{place}.{name}_norm.gain": step.gain, f"{place}.{name}_norm.bias": step.bias}


def _logits(anatomy: Anatomy) -> Choices:
    """Scale and cap between the head and the answer."""
    given, wanted = anatomy.head.out.reshape(anatomy.logits.shape), anatomy.logits
    scale = tidy(float((given * wanted).sum() / given.square().sum()))
    tried: list[tuple[float, dict[str, Any]]] = [(gap(given, wanted), {"scale": 1.0, "cap": None})]
    tried.append((gap(scale * given, wanted), {"scale": scale, "cap": None}))
    for cap in (30.0, 50.0, 15.0, 20.0, 10.0, 5.0, 100.0, 3.0, 1.0):
        tried.append((gap(cap * torch.tanh(given / cap), wanted), {"scale": 1.0, "cap": cap}))
    best = min(tried, key=lambda pair: pair[0])
    best = tried[0] if tried[0][0] <= 3 * best[0] + 1e-10 else best
    if not best[0] < CLOSE:
        raise Unreadable("what stands between its head and its logits is not known")
    return best[1]
