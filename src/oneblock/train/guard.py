"""The guard over the loss: steps that would do harm are skipped, several in a row undone."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from oneblock.config.errors import ConfigError

Verdict = Literal["ok", "skip", "rollback"]

# The spread is never taken as smaller: a loss that has gone flat may still wobble a little.
_LOSS_FLOOR, _LOSS_FLOOR_SHARE, _LOG_NORM_FLOOR = 0.01, 0.01, 0.1


class SpikeGuard:
    """Judges each step by its loss and gradient norm, before the step is taken.

    spike: x > mean + sigmas · max(std, floor) over the last `window` accepted steps, for x = loss (floor
    0.01 + 1 % of the mean) and x = ln(gradient norm) (floor 0.1: norms vary by factors), or x not finite.

    The first `minimum` accepted steps are only asked to be finite. Values that are refused never enter the
    history. The `rollback_after`-th spike in a row asks for a rollback and forgets the history, so that the
    next steps say anew what is normal: a loss whose level has changed for good costs one rollback.

    Going back to a checkpoint and doing the same again meets the same spike. So draw other batches (let
    `rollbacks` enter the data's seed) and leave the guard as it is, not as it was saved. After
    `max_rollbacks` it is `exhausted`: finite spikes in a row are then accepted as the new level, while a
    loss that stays NaN still answers "rollback" and the run should stop.
    """

    def __init__(
        self,
        window: int = 128,
        sigmas: float = 6.0,
        minimum: int = 32,
        rollback_after: int = 5,
        max_rollbacks: int = 10,
    ) -> None:
        if not 2 <= minimum <= window:
            raise ConfigError("minimum", minimum, f"must lie between 2 and the window of {window} steps")
        if not sigmas > 0:
            raise ConfigError("sigmas", sigmas, "must be more than 0")
        if rollback_after < 1:
            raise ConfigError("rollback_after", rollback_after, "must be at least 1")
        if max_rollbacks < 0:
            raise ConfigError("max_rollbacks", max_rollbacks, "must be 0 or more")
        self.window, self.sigmas, self.minimum = window, sigmas, minimum
        self.rollback_after, self.max_rollbacks = rollback_after, max_rollbacks
        self.rollbacks = 0
        self.consecutive = 0
        self.reason = ""
        self._losses: deque[float] = deque(maxlen=window)
        self._log_norms: deque[float] = deque(maxlen=window)

    @property
    def exhausted(self) -> bool:
        """Whether the rollbacks allowed are used up."""
        return self.rollbacks >= self.max_rollbacks

    def verdict(self, loss: float, grad_norm: float) -> Verdict:
        """What to do with the step that has this loss and gradient norm (before clipping).

        "ok": take it. "skip": leave the weights and moments as they are. "rollback": go back to the last
        checkpoint. `reason` then says why in a sentence; it is empty after "ok".
        """
        finite = math.isfinite(loss) and math.isfinite(grad_norm)
        self.reason = self._objection(loss, grad_norm)
        if not self.reason:
            return self._accept(loss, grad_norm)
        self.consecutive += 1
        if self.consecutive < self.rollback_after:
            return "skip"
        streak = f"{self.reason}; spike number {self.consecutive} in a row"
        self._forget()
        if self.exhausted and finite:
            self.reason = ""
            return self._accept(loss, grad_norm)
        self.rollbacks += 1
        self.reason = f"{streak}, rollback number {self.rollbacks}"
        return "rollback"

    def state(self) -> dict[str, Any]:
        """All that the next verdict depends on; fits into JSON without loss."""
        return {
            "losses": list(self._losses),
            "log_norms": list(self._log_norms),
            "consecutive": self.consecutive,
            "rollbacks": self.rollbacks,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self._losses = deque(state["losses"], maxlen=self.window)
        self._log_norms = deque(state["log_norms"], maxlen=self.window)
        self.consecutive, self.rollbacks = int(state["consecutive"]), int(state["rollbacks"])

    def _objection(self, loss: float, grad_norm: float) -> str:
        if not math.isfinite(loss):
            return f"the loss is {loss}"
        if not math.isfinite(grad_norm):
            return f"the gradient norm is {grad_norm}"
        if len(self._losses) >= self.minimum:
            mean, std = _mean_std(self._losses)
            limit = mean + self.sigmas * max(std, _LOSS_FLOOR + _LOSS_FLOOR_SHARE * abs(mean))
            if loss > limit:
                return f"the loss {loss:.4g} is above {limit:.4g} ({self._described(mean)})"
        if len(self._log_norms) >= self.minimum and grad_norm > 0:
            mean, std = _mean_std(self._log_norms)
            limit = mean + self.sigmas * max(std, _LOG_NORM_FLOOR)
            if math.log(grad_norm) > limit:
                described = self._described(math.exp(mean))
                return f"the gradient norm {grad_norm:.4g} is above {math.exp(limit):.4g} ({described})"
        return ""

    def _described(self, mean: float) -> str:
        return f"{self.sigmas:g} sigma over the recent mean {mean:.4g}"

    def _accept(self, loss: float, grad_norm: float) -> Verdict:
        self.consecutive = 0
        self._losses.append(loss)
        if grad_norm > 0:
            self._log_norms.append(math.log(grad_norm))
        return "ok"

    def _forget(self) -> None:
        self.consecutive = 0
        self._losses.clear()
        self._log_norms.clear()


def _mean_std(values: Iterable[float]) -> tuple[float, float]:
    kept = list(values)
    mean = math.fsum(kept) / len(kept)
    return mean, math.sqrt(math.fsum((value - mean) ** 2 for value in kept) / (len(kept) - 1))
