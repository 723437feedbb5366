"""E12: the mask before the softmax, after it, and none at all."""

from oneblock.compare.experiment import BUDGETS, Above, Below, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps

EXPERIMENT = Experiment(
    name="mask",
    row="E12",
    claim="Only a mask before the softmax keeps the future out: blocked scores get no gradient at all. With none, or "
    "with one after the softmax, training looks better and generation is worse.",
    source="Vaswani et al. 2017, section 3.2.3: illegal connections set to −∞ in the input of the softmax",
    variants={
        "before": (),
        "after": ("fault=mask-after-softmax",),
        "none": ("fault=no-mask",),
    },
    measures=("val_loss", "leak", "blocked_gradient", "leak_gap"),
    rule=(
        Below(a="before", bound=-15.0, measure="leak"),
        Below(a="before", bound=-15.0, measure="blocked_gradient"),
        Above(a="after", bound=-6.0, measure="leak"),
        Above(a="after", bound=-6.0, measure="blocked_gradient"),
        Above(a="none", bound=-6.0, measure="leak"),
        Lower(a="none", b="before"),
        Lower(a="after", b="before"),
        Above(a="none", bound=0.5, measure="leak_gap"),
        Above(a="after", bound=0.5, measure="leak_gap"),
    ),
    says=Sayings(
        supported="With the mask before the softmax no later token changes anything, and blocked scores get exactly no "
        "gradient. Without a mask, and with one after the softmax, the teacher-forced loss is lower, and the loss from "
        "the past alone, which is what generation has, more than half a nat higher than it.",
        refuted="The mask did not act as claimed: {a}, {difference} (99 %: {low} to {high}).",
    ),
    budgets=with_steps(BUDGETS, quick=300),
    decides=True,
)
