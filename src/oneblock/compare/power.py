"""What a number of seeds can tell, from what the spread of a few is known to be: said before the rest are run."""

from __future__ import annotations

import bisect
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from oneblock.compare.catalogue import MEASURES
from oneblock.compare.experiment import Comparison
from oneblock.compare.statistics import Differences, deviation, floor_of
from oneblock.compare.verdict import LEVEL, Values, compared, differences_of, findable, worded

MOST = 1000
"""Seeds beyond which "more of them" is no advice."""
FEW = 4
"""Seeds from fewer of which a spread is known only roughly."""
LARGE = 0.5
"""Nats: where no smaller difference of losses is found, hardly any choice of an architecture that trains is."""
DULL = 10.0
"""Standard deviations of a seed: where only more is found, the seeds are too few whatever is compared."""


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """Of one comparison: what `seeds` runs of each variant show four times in five, the spread being that of `known`.

    expects: the size that the claim states, or None; enough: the seeds that would show it, None: more than 1000
    """

    comparison: Comparison
    seeds: int
    known: int
    smallest: float
    expects: float | None
    enough: int | None

    @property
    def too_few(self) -> bool:
        """Whether the size that is claimed would be missed more often than once in five; of losses, half a nat."""
        if self.expects is None:
            return MEASURES[self.comparison.measure].loss and self.smallest > LARGE
        return self.smallest > self.expects

    @property
    def words(self) -> str:
        """For a person who has not yet spent the time."""
        rough = ", so roughly" if self.known < FEW else ""
        says = (
            f"{worded(self.comparison)}: {self.seeds} seeds find {self.smallest:.3g} four times in five (the spread is "
            f"known from {self.known}{rough})"
        )
        if self.expects is None:
            wide = f": TOO FEW to see less than {self.smallest:.2g} nats; more seeds (--seeds) or a larger --budget"
            return f"{says}{wide}" if self.too_few else says
        if not self.too_few:
            return f"{says}, and {self.expects:g} is claimed: enough{', if that holds' if rough else ''}"
        more = f"about {self.enough} would do (--seeds {self.enough})" if self.enough else f"not even {MOST} would do"
        return f"{says}, and {self.expects:g} is claimed: TOO FEW, {more}; a larger --budget changes the spread itself"


def beforehand(comparisons: int, seeds: int, level: float = LEVEL) -> str:
    """What is known before anything is run: what so many seeds find, in standard deviations of one seed."""
    found = _in_deviations(comparisons, seeds, level)
    says = f"{seeds} seeds find differences of {found:.3g} standard deviations of one, four times in five"
    if found <= DULL:
        return f"power: {says}"
    enough = next(n for n in range(seeds, MOST) if _in_deviations(comparisons, n, level) <= DULL)
    return f"WARNING: {says}: TOO FEW to see anything but the largest; take --seeds {enough} or more"


def _in_deviations(comparisons: int, seeds: int, level: float) -> float:
    """As where pairing helps nothing: the differences of seeds then spread √2 times as much as seeds do."""
    apart = Differences(count=seeds, mean=0.0, error=math.sqrt(2 / seeds))
    return apart.detectable(level / comparisons, floor=floor_of(1.0, seeds))


def outlooks(rule: Sequence[Comparison], values: Values, seeds: int, level: float = LEVEL) -> list[Outlook]:
    """An outlook for each comparison, from two or more known seeds; none where a measure is not a number.

    Of fewer than four seeds a spread is told by all comparisons of the same measure together: the root of the mean of
    their variances. Two seeds alone would be at a third of the truth or at twice it as often as not.
    """
    found = []
    kept = [comparison for comparison in rule if _known(comparison, values)]
    for comparison in kept:
        known = differences_of(comparison, values).count
        alike = [comparison] if known >= FEW else [other for other in kept if _spread_alike(comparison, other)]
        errors = [differences_of(other, values).error for other in alike]
        apart = math.sqrt(known * statistics.fmean(error**2 for error in errors))
        each = math.sqrt(statistics.fmean(deviation(seen) ** 2 for other in alike for seen in compared(other, values)))
        smallest = partial(_smallest, comparison, apart, each, level / len(rule))
        expects = comparison.expects
        found.append(
            Outlook(
                comparison=comparison,
                seeds=seeds,
                known=known,
                smallest=smallest(seeds),
                expects=expects,
                enough=None if expects is None else _enough(smallest, expects),
            )
        )
    return found


def _smallest(comparison: Comparison, apart: float, each: float, level: float, seeds: int) -> float:
    """What so many seeds find, whose differences spread by `apart` and of which each variant's own spread by `each`."""
    expected = Differences(count=seeds, mean=0.0, error=apart / math.sqrt(seeds))
    return findable(comparison, expected, floor_of(each, seeds), level)


def _known(comparison: Comparison, values: Values) -> bool:
    return all(math.isfinite(value) for seen in compared(comparison, values) for value in seen)


def _spread_alike(one: Comparison, other: Comparison) -> bool:
    """Whether both are differences of two variants, or both of one and a bound, of the same measure."""
    return one.measure == other.measure and hasattr(one, "b") == hasattr(other, "b")


def _enough(smallest: Callable[[int], float], expects: float) -> int | None:
    """The fewest seeds by which a difference of that size is found; more of them only find smaller ones."""
    counts = range(2, MOST + 1)
    at = bisect.bisect_left(counts, True, key=lambda count: smallest(count) <= expects)
    return counts[at] if at < len(counts) else None
