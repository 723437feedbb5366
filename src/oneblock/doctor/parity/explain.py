"""The smallest set of changes that makes the reference answer what the target answers."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Sequence

from torch import Tensor

from oneblock.doctor.parity.change import Change
from oneblock.doctor.parity.differences import changes
from oneblock.doctor.parity.norms import gap
from oneblock.doctor.parity.possible import possible
from oneblock.doctor.parity.twin import Reading, answer

MOST = 4
"""Sets of up to so many changes are tried before all of them together."""


def explain(reference: Reading, target: Reading, tokens: Tensor, enough: float) -> list[Change]:
    """Of everything in which two readings differ, the few that matter: what cancels out is left away.

    enough: difference to the target's answer at which a set explains it. [] where not even all of them do.
    """
    found, wanted = changes(reference, target), answer(target, tokens)

    def off(chosen: Iterable[Change]) -> float:
        return _off(applied(reference, target, chosen), tokens, wanted)

    sizes = range(1, 1 + min(MOST if len(found) <= 12 else 2, len(found)))
    best = smallest(found, sizes, off, enough)
    return best or (found if off(found) <= enough else [])


def search(
    known: Reading, tokens: Tensor, wanted: Tensor, enough: float, seconds: float, flipped: bool
) -> list[Change]:
    """For a model that cannot be read: the single change of a known one, then the pair, that gives its answer.

    known: the reading of the other. flipped: the known one is the target, and changes are told the other way round.
    """
    options, until = possible(known, tokens.shape[1]), time.monotonic() + seconds
    for size in (1, 2):
        for chosen in itertools.combinations(options, size):
            if time.monotonic() > until:
                return []
            if size == 2 and chosen[0].change.what == chosen[1].change.what:
                continue
            made = known.copy()
            for each in chosen:
                each.do(made)
            if _off(made, tokens, wanted) <= enough:
                return [each.flipped() if flipped else each.change for each in chosen]
    return []


def smallest(
    found: Sequence[Change], sizes: Iterable[int], off: Callable[[Iterable[Change]], float], enough: float
) -> list[Change]:
    """The first size at which a set is enough; of several sets that come closest."""
    for size in sizes:
        tried = [(off(chosen), i, chosen) for i, chosen in enumerate(itertools.combinations(found, size))]
        best = min(tried, default=None, key=lambda each: each[:2])
        if best is not None and best[0] <= enough:
            return list(best[2])
    return []


def _off(reading: Reading, tokens: Tensor, wanted: Tensor) -> float:
    try:
        return gap(answer(reading, tokens), wanted)
    except (RuntimeError, KeyError, IndexError, ValueError, AssertionError):
        return float("inf")


def applied(reference: Reading, target: Reading, chosen: Iterable[Change]) -> Reading:
    """The reference with some changes."""
    made = reference.copy()
    for change in chosen:
        for place, name in change.moves:
            if place == "num_layers":
                made.num_layers = target.num_layers
            elif name:
                if name in target.choices[place]:
                    made.choices[place][name] = target.choices[place][name]
                else:
                    made.choices[place].pop(name, None)
            elif place in target.choices:
                made.choices[place] = dict(target.choices[place])
            if not name and (place in target.tensors or place in made.tensors):
                made.tensors[place] = target.tensors.get(place)
    return made
