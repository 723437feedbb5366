"""How wide attention scores are spread, and how much slope is left in their softmax."""

from __future__ import annotations

import math

import numpy as np

from oneblock.compare.measures.subject import Found, Subject, log_ratio
from oneblock.inspect.capture import capture

ROWS = 4


def measure(subject: Subject) -> Found:
    """By layer: the variance of the scores that are not masked, and the softmax's slope.

    The Jacobian of p = softmax(s) is diag(p) − ppᵀ, whose trace is 1 − Σp²: 1 − 1/n for n even weights, 0 where one
    weight has everything and no gradient comes back. The mean over rows of its share of 1 − 1/n.
    """
    seen = capture(subject.model, subject.windows(subject.context, ROWS))
    variances, slopes = [], []
    for name in (name for name in seen if name.endswith(".scores")):
        scores_BHTS, weights_BHTS = seen[name].double(), seen[name.replace(".scores", ".weights")].double()
        kept = scores_BHTS.isfinite()
        variances.append(float(scores_BHTS[kept].var()) if bool(kept.any()) else math.nan)
        count_BHT = kept.sum(-1)
        many = count_BHT > 1
        slope_BHT = 1 - weights_BHTS.square().sum(-1)
        slopes.append(float((slope_BHT[many] / (1 - 1 / count_BHT[many])).mean()))
    return Found(
        measures={
            "score_variance": log_ratio(float(np.mean(variances)), 1.0),
            "softmax_slope": float(np.mean(slopes)),
        },
        curves={
            "score variance by layer": [[float(n), value] for n, value in enumerate(variances, 1)],
            "slope by layer": [[float(n), value] for n, value in enumerate(slopes, 1)],
        },
    )
