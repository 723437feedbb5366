"""E1: a deep stack with and without its residual stream."""

from oneblock.compare.experiment import BUDGETS, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import deeper, with_steps

EXPERIMENT = Experiment(
    name="residuals",
    row="E1",
    claim="A deep stack trains only with its residual stream.",
    source="He et al. 2016 (Deep Residual Learning), for transformers Dong et al. 2021 (Attention is not all you need)",
    # Each matrix keeps the variance of what it is given: a stack without residuals shall not die of its start alone.
    base=("init=fan_in", "init.output=full", "block.feed_forward=gelu"),
    variants={"with residuals": (), "without residuals": ("block.residual=off",)},
    measures=("val_loss", "train_loss", "gradient", "growth", "grad_norm"),
    rule=(Lower(a="with residuals", b="without residuals"),),
    says=Sayings(
        supported="Without residuals the same stack ends at a loss higher by more than seeds explain: with them less "
        "without, {difference} nats a token (99 %: {low} to {high}).",
        refuted="At this depth the stack without residuals reached the lower loss ({difference} nats a token).",
    ),
    budgets=deeper(with_steps(BUDGETS, quick=200), quick=8, standard=12, full=24),
)
