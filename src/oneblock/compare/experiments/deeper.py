"""E3: a shallow stack and a deep one, both with residuals; its runs are those of `depth`."""

from dataclasses import replace

from oneblock.compare.experiment import Experiment, Lower, Sayings
from oneblock.compare.experiments import depth

WITHOUT = depth.EXPERIMENT
NAMES = ("deep", "shallow")

EXPERIMENT = Experiment(
    name="deeper",
    row="E3",
    claim="With residuals a deeper stack trains to a lower loss than a shallow one.",
    source="He et al. 2016, figures 4 and 6: with residuals 34 layers have a lower training error than 18, and 110 "
    "than 20",
    base=WITHOUT.base,
    variants={name: WITHOUT.variants[name] for name in NAMES},
    measures=WITHOUT.measures,
    rule=(Lower(a="deep", b="shallow", measure="train_loss"),),
    says=Sayings(
        supported="With residuals the deeper stack ended at a lower training loss: {a} minus {b}, {difference} nats "
        "(99 %: {low} to {high}).",
        refuted="With residuals too the deeper stack ended at a higher training loss: {a} minus {b}, {difference} "
        "nats.",
    ),
    figures=WITHOUT.figures,
    budgets={
        name: replace(budget, own={label: own for label, own in budget.own.items() if label in NAMES})
        for name, budget in WITHOUT.budgets.items()
    },
)
