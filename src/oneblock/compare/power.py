"""What a number of seeds can tell, from what the spread of a few is known to be: said before the rest are run."""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from oneblock.compare.experiment import Comparison
from oneblock.compare.statistics import Differences, noise_floor
from oneblock.compare.verdict import LEVEL, Values, differences_of, findable, worded

MOST = 1000
"""Seeds beyond which "more of them" is no advice."""
FEW = 4
"""Seeds from fewer of which a spread is known only roughly."""


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
        """Whether the size that is claimed would be missed more often than once in five."""
        return self.expects is not None and self.smallest > self.expects

    @property
    def words(self) -> str:
        """For a person who has not yet spent the time."""
        rough = ", so roughly" if self.known < FEW else ""
        says = (
            f"{worded(self.comparison)}: {self.seeds} seeds find {self.smallest:.3g} four times in five (the spread is "
            f"known from {self.known}{rough})"
        )
        if not self.too_few:
            return says if self.expects is None else f"{says}, and {self.expects:g} is claimed: enough"
        more = f"about {self.enough} would do (--seeds {self.enough})" if self.enough else f"not even {MOST} would do"
        return f"{says}, and {self.expects:g} is claimed: TOO FEW, {more}; a larger --budget changes the spread itself"


def outlooks(
    rule: Sequence[Comparison], values: Values, reference: str, seeds: int, level: float = LEVEL
) -> list[Outlook]:
    """An outlook for each comparison, from two or more known seeds; none where a measure is not a number."""
    found = []
    for comparison in rule:
        differences = differences_of(comparison, values)
        of_reference = values[comparison.measure][reference]
        if not all(map(math.isfinite, (differences.mean, *of_reference))):
            continue

        def smallest(
            count: int,
            comparison: Comparison = comparison,
            differences: Differences = differences,
            of_reference: Sequence[float] = of_reference,
        ) -> float:
            error = differences.error * math.sqrt(differences.count / count)
            floor = noise_floor(of_reference, count)
            return findable(comparison, replace(differences, count=count, error=error), floor, level / len(rule))

        expects = comparison.expects
        found.append(
            Outlook(
                comparison=comparison,
                seeds=seeds,
                known=differences.count,
                smallest=smallest(seeds),
                expects=expects,
                enough=None if expects is None else _enough(smallest, expects),
            )
        )
    return found


def _enough(smallest: Callable[[int], float], expects: float) -> int | None:
    """The fewest seeds by which a difference of that size is found; more of them only find smaller ones."""
    counts = range(2, MOST + 1)
    at = bisect.bisect_left(counts, True, key=lambda count: smallest(count) <= expects)
    return counts[at] if at < len(counts) else None
