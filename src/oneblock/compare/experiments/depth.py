"""E3: a shallow stack and a deep one, with residuals and without."""

from dataclasses import replace

from oneblock.compare.experiment import BUDGETS, Experiment, Figure, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps

SHALLOW, DEEP, BARE = "num_layers=2", "num_layers=8", "block.residual=off"
DEEPEST = ("num_layers=48",)

EXPERIMENT = Experiment(
    name="depth",
    row="E3",
    claim="Without residuals a deeper stack trains worse than a shallow one, and than the same stack with them.",
    source="He et al. 2016: 56 plain layers have a higher training error than 20; with residuals 110 have a lower one",
    # Each matrix keeps the variance of what it is given: a stack without residuals shall not die of its start alone.
    base=("init=fan_in", "init.output=full", "block.feed_forward=gelu"),
    variants={
        "deep": (DEEP,),
        "shallow": (SHALLOW,),
        "deep, no residuals": (DEEP, BARE),
        "shallow, no residuals": (SHALLOW, BARE),
    },
    measures=("train_loss", "val_loss", "gradient", "step_seconds"),
    rule=(
        Lower(a="shallow, no residuals", b="deep, no residuals", measure="train_loss"),
        Lower(a="deep", b="deep, no residuals", measure="train_loss"),
    ),
    says=Sayings(
        supported="Without residuals the deep stack ends at a higher training loss than the shallow one ({a} minus "
        "{b}: {difference} nats, 99 %: {low} to {high}); with them the same deep stack trains.",
        refuted="At this depth residuals made no such difference: {a} minus {b} is {difference} nats.",
    ),
    figures=(Figure(title="Gradient on the stream", curves=("gradient by layer",)),),
    budgets=with_steps(BUDGETS, quick=200, standard=300)
    | {"full": replace(BUDGETS["full"], own={"deep": DEEPEST, "deep, no residuals": DEEPEST})},
    decides=True,
)
