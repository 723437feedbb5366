"""E15: how many places an expert has, for Switch and for GShard."""

from dataclasses import replace

from oneblock.compare.experiment import BUDGETS, Budget, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps
from oneblock.compare.experiments.experts import GSHARD, QUALITY, SWITCH

FACTORS = ("1.0", "1.25", "2.0")


def few_rates(budget: Budget) -> Budget:
    """Six variants: two learning rates, and one beyond where the better one is at that edge."""
    return replace(budget, rates=(1.0, 3.0))


EXPERIMENT = Experiment(
    name="capacity",
    row="E15",
    claim="With few places, a capacity factor of 1.0, Switch reaches a lower loss than GShard; more places drop fewer "
    "tokens, and GShard gains by them.",
    source="Fedus et al. 2022, table 1, capacity 2.0, 1.25, 1.0: Switch −1.554, −1.553, −1.561; mixture of two experts "
    "−1.547, −1.559, −1.572",
    # Places are limited in training only: in evaluation nobody is dropped, whatever the factor.
    variants={
        f"{name} {factor}": (*settings, f"block.feed_forward.capacity_factor={factor}")
        for name, settings in (("switch", SWITCH), ("gshard", GSHARD))
        for factor in FACTORS
    },
    measures=("val_loss", "train_loss", "dropped", "imbalance", "step_seconds"),
    rule=(
        Lower(a="switch 1.0", b="gshard 1.0", expects=0.011),
        Lower(a="gshard 2.0", b="gshard 1.0", expects=0.025),
        Lower(a="switch 2.0", b="switch 1.0", measure="dropped"),
        Lower(a="gshard 2.0", b="gshard 1.0", measure="dropped"),
    ),
    says=Sayings(
        supported="With as many places as tokens Switch beat GShard ({difference} nats, 99 %: {low} to {high}); with "
        "twice as many both drop fewer tokens, and GShard reached a lower loss.",
        refuted="At this size the claim did not hold: {a} minus {b} is {difference} (99 %: {low} to {high}).",
        untestable="The published differences, 0.011 and 0.025 nats, are less than runs this small can see: {a} minus "
        "{b} was {difference}, and these seeds find {detectable} four times in five.",
    ),
    figures=QUALITY,
    budgets={name: few_rates(budget) for name, budget in with_steps(BUDGETS, quick=150, standard=200).items()},
)
