"""E13: one head and several, with as many parameters."""

from oneblock.compare.experiment import BUDGETS, Experiment, Figure, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps

EXPERIMENT = Experiment(
    name="heads",
    row="E13",
    claim="Four or eight narrow heads reach a lower loss than one wide head of as many parameters.",
    source="Vaswani et al. 2017, table 3, rows A: perplexity 5.29 with one head, 5.00 with 4, 4.92 with 8 (0.056 and "
    "0.073 nats)",
    variants={f"{count} head{'s' * (count > 1)}": (f"block.attention.num_heads={count}",) for count in (8, 1, 2, 4)},
    equal="parameters",
    measures=("val_loss", "train_loss", "step_seconds"),
    rule=(
        Lower(a="8 heads", b="1 head", expects=0.073),
        Lower(a="4 heads", b="1 head", expects=0.056),
    ),
    says=Sayings(
        supported="Several heads beat one of as many parameters: {a} minus {b}, {difference} nats (99 %: {low} to "
        "{high}).",
        refuted="At this size several heads did not beat one: {a} minus {b} is {difference} nats (99 %: {low} to "
        "{high}).",
        untestable="The published gain, 0.06 to 0.07 nats, is less than runs this small can see: {a} minus {b} was "
        "{difference}, and these seeds find {detectable} four times in five.",
    ),
    figures=(Figure(title="Quality per second", curves=("loss by second",)),),
    budgets=with_steps(BUDGETS, quick=250, standard=350),
)
