"""`Evidence`: the onset that matters, and what else the log shows around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from oneblock.doctor.logs.log import Log, Series
from oneblock.doctor.logs.onsets import ADVERSE, COLLAPSING, GROWING, Onset, growth, onsets
from oneblock.doctor.logs.robust import noise, period, recurring

HIGH = 50.0
"""A largest attention logit above which the softmax is nearly a choice of one (some trainings are clipped at 100)."""
WIDE = ("float32", "bfloat16")
"""What needs no loss scale."""
AROUND = 40
"""Logged points before an onset in which its cause is looked for."""


@dataclass(kw_only=True)
class Evidence:
    """A log, its onsets in order, and the one that matters: `main`, the first of those that are not small beside it."""

    log: Log
    onsets: list[Onset]
    main: Onset | None = None
    grown: dict[str, Onset] = field(default_factory=dict)

    @property
    def step(self) -> float:
        """Where the main onset is; the log's end where there is none."""
        return self.main.step if self.main is not None else float(self.log.series["loss"].steps[-1])

    @cached_property
    def apart(self) -> float:
        """Steps from one logged loss to the next."""
        steps = self.log.series["loss"].steps
        return float(np.median(np.diff(steps))) if len(steps) > 1 else 1.0

    def of(self, quantity: str, *kinds: str) -> list[Onset]:
        """Onsets of a quantity, of these kinds or of all."""
        return [each for each in self.onsets if each.quantity == quantity and (not kinds or each.kind in kinds)]

    def just_before(self, step: float, points: float = AROUND) -> bool:
        """Whether a step lies just before the main onset, or at it."""
        return self.step - points * self.apart <= step <= self.step + 1.5 * self.apart

    @cached_property
    def rate_jump(self) -> Onset | None:
        """The learning rate's last jump upward just before the onset."""
        up = [each for each in self.of("learning_rate", "jump") if each.after > each.before]
        return next((each for each in reversed(up) if self.just_before(each.step)), None)

    @cached_property
    def restart(self) -> float | None:
        """The last step just before the onset at which the log was begun again, or the clock stood still."""
        steps = sorted({*self.log.restarts, *self.log.gaps})
        return next((step for step in reversed(steps) if self.just_before(step)), None)

    @property
    def sharpens(self) -> bool:
        """Whether attention got sharp faster than before, ahead of the onset."""
        grown = [self.grown[name] for name in ("max_logit", "entropy") if name in self.grown]
        return any(each.sudden and each.step < self.step - 3 * self.apart for each in grown)

    @cached_property
    def levels(self) -> list[Onset]:
        """Changes of the loss's level that learning does not make: upward, far down, or down again and again."""
        found = self.of("loss", "level")
        down = [each for each in found if each.after < each.before]
        at_epochs = [each for each in down if any(abs(each.step - step) <= 2 * self.apart for step in self.epochs)]
        told = len(at_epochs) >= 2 or recurring([each.step for each in down]) is not None
        return [each for each in found if each.after > each.before or each.after < 0.6 * each.before or told]

    @cached_property
    def troubles(self) -> list[Onset]:
        """Onsets of the loss that are not small beside the main one."""
        if self.main is None or self.main.quantity != "loss":
            return []
        least = 0.35 * self.main.size if np.isfinite(self.main.size) else 0.0
        found = [*self.of("loss", *ADVERSE), *self.levels]
        return sorted((each for each in found if not each.size < least), key=lambda each: each.step)

    @cached_property
    def alone(self) -> bool:
        """Whether there is one such onset only, what follows within its own recovery not counted."""
        return len(self.troubles) <= 1 or all(
            each.step <= self.troubles[0].end + 10 * self.apart for each in self.troubles
        )

    @cached_property
    def recurs(self) -> float | None:
        """Steps after which the loss's onsets come again."""
        steps = [each.step for each in [*self.of("loss", *ADVERSE), *self.levels]]
        return recurring(steps) or recurring([each.step for each in self.troubles])

    @cached_property
    def cycle(self) -> tuple[float, float] | None:
        """Steps after which the loss looks like itself, and how much (autocorrelation)."""
        found = period(self.log.series["loss"].values)
        return (found[0] * self.apart, found[1]) if found else None

    @cached_property
    def epochs(self) -> list[float]:
        """Steps at which an epoch begins, where the log counts them."""
        series = self.log.get("epoch")
        if series is None or len(series) < 3:
            return []
        whole = np.floor(series.values + 1e-9)
        return [float(step) for step in series.steps[1:][np.diff(whole) > 0]]

    @cached_property
    def overflows(self) -> list[float]:
        """Steps with a gradient norm that is not finite though the loss is, where numbers have float16's range."""
        norms, loss = self.log.get("grad_norm"), self.log.series["loss"]
        if norms is None or self.log.facts.get("precision") in WIDE:
            return []
        at = norms.steps[~np.isfinite(norms.values)]
        return [float(step) for step in at if (value := loss.at(step)) is not None and np.isfinite(value)]

    @cached_property
    def halvings(self) -> list[Onset]:
        """Where the loss scale goes down."""
        return [each for each in self.of("loss_scale", "jump") if each.after < each.before]

    def ratio(self, quantity: str, step: float) -> float | None:
        """A quantity at a step over its median of the points before; None where it is not logged there."""
        series = self.log.get(quantity)
        if series is None:
            return None
        before, now = series.values[series.steps < step][-32:], series.values[series.steps >= step][:1]
        before = before[np.isfinite(before)]
        if len(before) < 4 or not len(now) or float(np.median(before)) <= 0:
            return None
        return float(now[0] / np.median(before))

    def climbs_before(self, quantity: str, points: int = 8) -> bool:
        """Whether a quantity was on its way up already in the points just before the onset."""
        series = self.log.get(quantity)
        if series is None:
            return False
        before = series.values[series.steps < self.step]
        before = np.log(before[np.isfinite(before) & (before > 0)])
        if len(before) < 4 * points:
            return False
        near, far = before[-points:], before[-4 * points : -points]
        return bool(np.median(near) - np.median(far) > max(0.35, 2 * noise(before)))


def gather(log: Log) -> Evidence:
    """What a log shows, with its main onset."""
    found = onsets(log)
    evidence = Evidence(log=log, onsets=found)
    evidence.main = main_onset(evidence)
    _grown(evidence)
    # Where the loss shows nothing, attention that gets sharp is what there is to say.
    sharp = [evidence.grown[name] for name in ("max_logit", "entropy") if name in evidence.grown]
    sharp = [each for each in sharp if each.after > HIGH or (each.kind == "collapse" and each.sudden)]
    if sharp and (evidence.main is None or evidence.main.quantity == "val_loss"):
        evidence.main = min(sharp, key=lambda each: each.step)
    evidence.onsets = sorted([*found, *evidence.grown.values()], key=lambda each: each.step)
    return evidence


def _grown(evidence: Evidence) -> None:
    """What has grown or collapsed by the main onset."""
    for quantity in (*GROWING, *COLLAPSING):
        series: Series | None = evidence.log.get(quantity)
        slow = growth(quantity, series, evidence.step + 0.5 * evidence.apart) if series is not None else None
        if slow is not None:
            evidence.grown[quantity] = slow


def main_onset(evidence: Evidence) -> Onset | None:
    """The first onset of the loss that is at least a third of the largest; of a loss that becomes no number, what led
    there. Where the loss shows nothing: of the gradients, the loss scale, the held-out loss."""
    bad = evidence.of("loss", "not finite")
    if bad:
        way = [each for each in evidence.of("loss", "spike", "rise", "climb") if each.step <= bad[0].step]
        leads = [o for o in way if o.kind != "spike" or bad[0].step - o.end <= 12 * evidence.apart]
        return min([*leads, bad[0]], key=lambda each: each.step)
    adverse = [*evidence.of("loss", *ADVERSE), *evidence.levels]
    largest = max((each.size for each in adverse), default=0.0)
    for each in sorted(adverse, key=lambda each: each.step):
        if each.size >= 0.35 * largest:
            return each
    for quantity, kinds in (
        ("grad_norm", ("not finite", "zero")),
        ("loss_scale", ("jump",)),
        ("grad_norm", ("rise", "level")),
        ("val_loss", ("not finite", "climb")),
    ):
        found = evidence.of(quantity, *kinds)
        if quantity == "loss_scale":
            found = [each for each in found if each.after < each.before]
        if quantity == "grad_norm":
            # Gradients fall and wander in every training; half or twice as large at once they are not.
            found = [each for each in found if each.kind != "level" or not 0.55 < each.after / each.before < 1.8]
        if found:
            return found[0]
    return None
