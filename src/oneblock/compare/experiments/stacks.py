"""E3: a deep stack with its norms and its residual stream, with one of them, and with neither."""

from oneblock.compare.experiment import Experiment, Figure, Lower, Sayings
from oneblock.compare.experiments.budgets import deep

BARE = ("block.placement=none", "final_norm=none")

EXPERIMENT = Experiment(
    name="stacks",
    row="E3",
    claim="A deep stack needs both its norms and its residual stream: with only one of them, or with neither, it "
    "trains worse.",
    source="He et al. 2016 for the residual stream; Ba et al. 2016 and Xiong et al. 2020 for the norms; the course's "
    "stacks lesson",
    # Each matrix keeps the variance of what it is given: no stack shall die of its start alone.
    base=("init=fan_in", "init.output=full", "block.feed_forward=gelu"),
    variants={
        "both": (),
        "residual only": BARE,
        "norm only": ("block.residual=off",),
        "plain": (*BARE, "block.residual=off"),
    },
    measures=("train_loss", "val_loss", "start_spread", "gradient_spread", "growth", "peak"),
    rule=(
        Lower(a="both", b="residual only", measure="train_loss"),
        Lower(a="both", b="norm only", measure="train_loss"),
        Lower(a="both", b="plain", measure="train_loss"),
        Lower(a="both", b="plain", measure="start_spread"),
    ),
    says=Sayings(
        supported="With norms and residuals the deep stack trains; with norms alone, residuals alone or neither it "
        "ends at a higher training loss (against {b}: {difference} nats, 99 %: {low} to {high}), and with neither the "
        "gradient is lost on its way down before the first step.",
        refuted="At this depth the claim did not hold: {a} minus {b} is {difference} (99 %: {low} to {high}).",
    ),
    figures=(
        Figure(title="The stream before training", curves=("stream at the start by layer",), toys=(1.8, 0.2)),
        Figure(title="The stream after training", curves=("stream by layer",)),
        Figure(title="The gradient before training", curves=("gradient at the start by layer",)),
        Figure(title="The gradient after training", curves=("gradient by layer",)),
    ),
    budgets=deep(quick=(12, 150), standard=(48, 150), full=48),
    decides=True,
)
