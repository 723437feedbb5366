"""Exercise 5: LayerNorm and RMSNorm, which bring each token back to a standard size."""

import math

import torch

from oneblock.learn.exercise import Exercise, Worked
from oneblock.learn.exercises.norms.checks import CHECKS
from oneblock.learn.exercises.norms.twin import make
from oneblock.learn.exercises.norms.variants import RIGHT, WRONG

FORBIDS = (
    "layer_norm", "rms_norm", "group_norm", "batch_norm", "instance_norm", "native_layer_norm", "native_group_norm",
    "native_batch_norm", "fused_rms_norm", "_fused_rms_norm", "LayerNorm", "RMSNorm", "GroupNorm", "BatchNorm1d",
    "InstanceNorm1d",
)  # fmt: skip

EXERCISE = Exercise(
    name="norms",
    title="two norms: back to a standard size",
    names=("layer_norm", "rms_norm"),
    checks=CHECKS,
    make=make,
    wrong=WRONG,
    right=RIGHT,
    forbids=FORBIDS,
    worked=(
        Worked(
            says="layer_norm of [3, 5, 7], weight 1, bias 0, eps 0: the mean is 5, the variance (4 + 0 + 4) / 3, "
            "its root 1.633.",
            run=lambda a: a.call(
                "layer_norm", a.tensor([3.0, 5.0, 7.0]), a.tensor([1.0] * 3), a.tensor([0.0] * 3), 0.0
            ),
            right=torch.tensor([-math.sqrt(1.5), 0.0, math.sqrt(1.5)], dtype=torch.float64),
        ),
        Worked(
            says="layer_norm of [1, 3], weight [2, 3], bias [10, 20], eps 3: mean 2, variance 1, and 1 + 3 has the "
            "root 2; so −1/2 and 1/2, times the weight, plus the bias.",
            run=lambda a: a.call("layer_norm", a.tensor([1.0, 3.0]), a.tensor([2.0, 3.0]), a.tensor([10.0, 20.0]), 3.0),
            right=torch.tensor([9.0, 21.5], dtype=torch.float64),
        ),
        Worked(
            says="rms_norm of [1, 7], weight [5, 10], eps 0: the mean square is (1 + 49) / 2 = 25, its root 5.",
            run=lambda a: a.call("rms_norm", a.tensor([1.0, 7.0]), a.tensor([5.0, 10.0]), 0.0),
            right=torch.tensor([1.0, 14.0], dtype=torch.float64),
        ),
        Worked(
            says="rms_norm of [1, 7], weight [5, 10], eps 75: 25 + 75 = 100, its root 10.",
            run=lambda a: a.call("rms_norm", a.tensor([1.0, 7.0]), a.tensor([5.0, 10.0]), 75.0),
            right=torch.tensor([0.5, 7.0], dtype=torch.float64),
        ),
    ),
)
