"""The few statistics a comparison needs: Student's t, paired differences, Holm's correction. Pure numbers."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

_TINY = 1e-300


@dataclass(frozen=True, kw_only=True)
class Differences:
    """Paired differences over seeds: how many, their mean, and the standard error of that mean."""

    count: int
    mean: float
    error: float

    def beyond(self, bound: float) -> float:
        """One-sided p of "the true mean is not above `bound`": small where it is above.

        t = (mean − bound) / error with count − 1 degrees of freedom. Differences without any spread decide exactly.
        """
        if self.error == 0:
            return 0.0 if self.mean > bound else 1.0
        return t_cdf((bound - self.mean) / self.error, self.count - 1)

    def below(self, bound: float) -> float:
        """One-sided p of "the true mean is not below `bound`"."""
        return Differences(count=self.count, mean=-self.mean, error=self.error).beyond(-bound)

    def interval(self, level: float) -> tuple[float, float]:
        """The two-sided confidence interval of the mean; `level` 0.01 gives 99 %."""
        half = t_quantile(1 - level / 2, self.count - 1) * self.error if self.error else 0.0
        return self.mean - half, self.mean + half

    def detectable(self, level: float, power: float = 0.8, floor: float = 0.0) -> float:
        """The true difference that is found with this power: by a two-sided test at `level`, and above `floor`.

        max(t_(1−level/2) · error, q_power · floor) + t_power · error: the usual approximation by a shifted t, a little
        low for few seeds. The floor is measured too: other seeds would put it up to q_power times as high.
        """
        freedom = self.count - 1
        half = t_quantile(1 - level / 2, freedom) * self.error
        return max(half, floor * spread_quantile(power, freedom)) + t_quantile(power, freedom) * self.error


def paired(a: Sequence[float], b: Sequence[float] | float) -> Differences:
    """Differences a − b, seed by seed; `b` may be one number. ValueError for fewer than two, or unequal lengths."""
    others = [b] * len(a) if isinstance(b, int | float) else list(b)
    if len(a) != len(others) or len(a) < 2:
        raise ValueError(f"{len(a)} and {len(others)} values: paired differences need two or more, one for each seed")
    differences = [x - y for x, y in zip(a, others, strict=True)]
    spread = deviation(differences)
    # What is equal for all seeds (a count of bytes) has a spread of rounding only.
    scale = max(map(abs, [*a, *others]))
    error = spread / math.sqrt(len(a)) if spread > 1e-12 * scale else 0.0
    return Differences(count=len(a), mean=math.fsum(differences) / len(a), error=error)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation, n − 1 below."""
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def noise_floor(*variants: Sequence[float]) -> float:
    """What the means of two sets of n runs of one variant differ by in 19 cases of 20: t₀.₉₇₅ · s · √(2/n).

    s² is the mean of the variants' own variances: of two that are compared either may be the one whose seeds differ.
    t has n − 1 degrees of freedom, however many they are, for the same seed may be good or bad for all of them.
    """
    spread = math.sqrt(statistics.fmean(deviation(values) ** 2 for values in variants))
    return floor_of(spread, len(variants[0]))


def floor_of(spread: float, seeds: int) -> float:
    """The noise floor of so many seeds of that standard deviation."""
    return t_quantile(0.975, seeds - 1) * spread * math.sqrt(2 / seeds)


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values adjusted for their number: rejecting those at most α errs in at most α of all families.

    p₍ᵢ₎ ← max over j ≤ i of min(1, (m − j) · p₍ⱼ₎), j from 0 in rising order. Holm 1979. No independence is needed.
    """
    adjusted, highest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        highest = max(highest, min(1.0, (len(ps) - rank) * ps[index]))
        adjusted[index] = highest
    return adjusted


def t_cdf(t: float, freedom: float) -> float:
    """P(T ≤ t) of Student's t: 1 − ½ I_x(ν/2, ½) for t ≥ 0, x = ν/(ν + t²)."""
    if math.isinf(t):
        return 1.0 if t > 0 else 0.0
    if t * t < freedom:
        # The same from the other end: near 0 the first form would lose t in rounding.
        tail = 0.5 * (1.0 - incomplete_beta(0.5, freedom / 2, t * t / (freedom + t * t)))
    else:
        tail = 0.5 * incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))
    return 1.0 - tail if t >= 0 else tail


def spread_quantile(probability: float, freedom: float) -> float:
    """What s/σ of normal values lies below with this probability: √(χ²/ν), χ² by Wilson and Hilferty 1931."""
    part = 2 / (9 * freedom)
    return max(0.0, 1 - part + statistics.NormalDist().inv_cdf(probability) * math.sqrt(part)) ** 1.5


@functools.lru_cache(maxsize=256)
def t_quantile(probability: float, freedom: float) -> float:
    """The t with P(T ≤ t) = probability, by halving; exact to about 1e-12 of itself."""
    if not 0 < probability < 1:
        raise ValueError(f"probability={probability} must lie between 0 and 1")
    if probability < 0.5:
        return -t_quantile(1 - probability, freedom)
    low, high = 0.0, 1.0
    while t_cdf(high, freedom) < probability:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if t_cdf(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b), the regularised incomplete beta function, by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    # The fraction converges fast on this side of the mean; the other is its mirror.
    if x > (a + 1) / (a + b + 2):
        return 1.0 - incomplete_beta(b, a, 1 - x)
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(log_front) / (a * _fraction(a, b, x))


def _fraction(a: float, b: float, x: float) -> float:
    """1 + d₁/(1 + d₂/(1 + …)), by Lentz's method."""
    value, c, d = 1.0, 1.0, 0.0
    for index in range(1, 400):
        m = index // 2
        if index % 2:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        d = 1.0 / (1.0 + term * d or _TINY)
        c = 1.0 + term / c or _TINY
        value *= c * d
        if abs(c * d - 1.0) < 1e-15:
            break
    return value
