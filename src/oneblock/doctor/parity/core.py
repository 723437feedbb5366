"""What attention and activation do between their projections: the choices that give what was seen.

From a guess outwards: the guess, every single change of it, every pair. Numbers (scale, base of the rotation, cap) that
stand in no list are then searched for.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor

from oneblock.doctor.parity.norms import CLOSE, gap, tidy
from oneblock.doctor.parity.twin import ACTIVATIONS, Choices, activate, attend

SHARP = 1e-7
"""Below this a guess needs no second opinion."""
NUMBERS = {"scale": (1e-3, 1e2), "theta": (2.0, 1e8), "cap": (0.05, 1e3)}
"""Choices that may be any number, with the range that is searched."""
THETAS = (1e4, 5e5, 1e6, 1e5, 1e3, 1e2, 5e4, 2.5e5, 1e7, 2e4, 1.6e5)


def attention_options(
    heads: int, groups: int, width: int, model: int, length: int, pieces: int
) -> dict[str, list[Any]]:
    """For each choice of attention what is tried, the usual first. model: D; pieces: how many matrices there are."""
    layouts = [", ".join(order) for order in itertools.permutations("qkv") if groups == heads or order[0] == "q"]
    layouts += ["k, v, q", "v, k, q"] if groups != heads else []
    if pieces == 1:
        layouts.append("q, k, v of each head")
        layouts += ["q, k, v of each feature"] if groups == heads else []
    turns = width % 2 == 0
    return {
        "layout": layouts,
        "rope": ["none", "half", "interleaved"] if turns else ["none"],
        "theta": list(THETAS),
        "fraction": _fractions(width),
        "turned": ["qk", "q", "k", "qkv"][:3],
        "direction": [1, -1],
        "scale": list(
            dict.fromkeys(
                [width**-0.5, 1.0, 1 / width, model**-0.5, 1 / model, width**0.5, heads**-0.5, width**-0.25, 1 / heads]
            )
        ),
        "mask": ["causal", "all", "ahead 1", "ahead 2", "reversed", *(f"window {w}" for w in range(1, length))],
        "kv_heads": ["neighbours", "strided"] if 1 < groups < heads else ["neighbours"],
        "cap": [None, 50.0, 30.0, 20.0, 15.0, 10.0, 5.0],
        "alibi": [False, True],
        "merge": ["with transpose", "without transpose"],
        "split": ["with transpose", "without transpose"],
        "softmax": ["keys", "queries"],
    }


def _fractions(width: int) -> list[float]:
    """Shares of a head that may turn: the usual ones, and in a narrow head every even number of features."""
    usual = [f for f in (1.0, 0.5, 0.25, 0.4, 0.75) if f * width % 2 == 0]
    return list(dict.fromkeys(usual + [r / width for r in range(2, width, 2)])) if width <= 16 else usual


def fit_attention(
    raw: Tensor,
    wanted: Tensor,
    sizes: Choices,
    t: Mapping[str, Tensor | None],
    place: str,
    guesses: list[Choices],
    d: int,
) -> tuple[Choices, float]:
    """The choices, and how far they are off. sizes: heads, groups, head_width, pieces, q_norm and k_norm."""
    options = attention_options(
        sizes["heads"], sizes["groups"], sizes["head_width"], d, raw.shape[1], sizes.pop("pieces")
    )
    own = {name: values[0] for name, values in options.items()}
    starts = [
        own | {k: v for k, v in guess.items() if k in own and (k in NUMBERS or v in options[k])} for guess in guesses
    ]
    starts += [own, own | {"rope": "half"}, own | {"rope": "interleaved"}, own | {"alibi": True}]
    starts = [start for start in starts if start["rope"] in options["rope"]]

    def off(c: Choices) -> float:
        return gap(attend(raw, c | sizes, t, place), wanted)

    found, least = outwards(starts, options, off)
    return found | sizes, least


def fit_activation(
    raw: Tensor, wanted: Tensor, gated: bool, fused: bool, guesses: list[Choices]
) -> tuple[Choices, float]:
    """The activation between up (and gate) and down."""
    options: dict[str, list[Any]] = {
        "activation": list(ACTIVATIONS),
        "gate": ["first", "second"] if gated else ["none"],
        "halves": ["blocks", "alternating"] if gated and fused else ["blocks"],
    }
    own = {name: values[0] for name, values in options.items()}
    starts = [own | {k: v for k, v in guess.items() if k in own and v in options[k]} for guess in guesses]
    return outwards([*starts, own], options, lambda c: gap(activate(raw, c), wanted))


def outwards(
    starts: list[Choices], options: dict[str, list[Any]], off: Callable[[Choices], float]
) -> tuple[Choices, float]:
    """The choices that come closest, as few changes as possible away from a start."""
    best, least = starts[0], off(starts[0])
    for start in starts:
        if least > SHARP:
            best, least = _closer(best, least, [start], off)
    if SHARP < least <= CLOSE:
        # It holds; something finer may hold better, but no other window.
        finer = {name: values for name, values in options.items() if name != "mask"}
        return _closer(best, least, _changed(best, finer, 1), off)
    for order in (1, 2):
        for start in starts:
            if least > CLOSE:
                best, least = _closer(best, least, _changed(start, options, order), off)
        if least > CLOSE:
            for start in [best, *starts]:
                best, least = _numbers(start, best, least, off) if least > CLOSE else (best, least)
    return best, least


def _closer(
    best: Choices, least: float, tried: list[Choices] | Iterator[Choices], off: Callable[[Choices], float]
) -> tuple[Choices, float]:
    """A new one must be clearly closer, so that what cannot be told apart stays as it was guessed."""
    for each in tried:
        distance = off(each)
        if distance < least / 3 - 1e-12:
            best, least = each, distance
    return best, least


def _changed(start: Choices, options: dict[str, list[Any]], order: int) -> Iterator[Choices]:
    for names in itertools.combinations(options, order):
        others = [[value for value in options[name] if value != start[name]] for name in names]
        for values in itertools.product(*others):
            made = start | dict(zip(names, values, strict=True))
            if made.get("rope") != "none" or not {"theta", "fraction", "turned", "direction"} & set(names):
                yield made


def _numbers(start: Choices, best: Choices, least: float, off: Callable[[Choices], float]) -> tuple[Choices, float]:
    """One number of a start that makes it hold, found on a logarithmic grid and then narrowed down."""
    for name, (low, high) in NUMBERS.items():
        if name not in start or (name == "theta" and start["rope"] == "none"):
            continue
        grid = [low * (high / low) ** (i / 60) for i in range(61)]
        values = [off(start | {name: value}) for value in grid]
        place = values.index(min(values))
        a, b = math.log(grid[max(place - 1, 0)]), math.log(grid[min(place + 1, 60)])
        for _ in range(40):
            c, d = a + 0.382 * (b - a), a + 0.618 * (b - a)
            if off(start | {name: math.exp(c)}) < off(start | {name: math.exp(d)}):
                b = d
            else:
                a = c
        made = start | {name: tidy(math.exp((a + b) / 2))}
        if off(made) < min(CLOSE, least):
            best, least = made, off(made)
    return best, least
