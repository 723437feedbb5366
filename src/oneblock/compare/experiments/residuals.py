"""E1: a deep stack with and without its residual stream."""

from oneblock.compare.experiment import BUDGETS, Experiment, Figure, Lower, Sayings
from oneblock.compare.experiments.budgets import deep, deeper, with_steps

EXPERIMENT = Experiment(
    name="residuals",
    row="E1",
    claim="A deep stack trains only with its residual stream, and only with it the last layer can still tell the token "
    "that came in.",
    source="He et al. 2016 (Deep Residual Learning), for transformers Dong et al. 2021 (Attention is not all you need)",
    # Each matrix keeps the variance of what it is given: a stack without residuals shall not die of its start alone.
    base=("init=fan_in", "init.output=full", "block.feed_forward=gelu"),
    variants={"with residuals": (), "without residuals": ("block.residual=off",)},
    measures=("val_loss", "train_loss", "probe_first", "probe_last", "gradient", "growth", "grad_norm"),
    rule=(
        Lower(a="with residuals", b="without residuals"),
        Lower(a="without residuals", b="with residuals", measure="probe_last"),
    ),
    says=Sayings(
        supported="Without residuals the same stack ends at a loss higher by more than seeds explain: with them minus "
        "without, {difference} nats a token (99 %: {low} to {high}). And a linear probe behind its last block tells "
        "fewer of the tokens that came in.",
        refuted="At this depth the claim did not hold: {a} minus {b} is {difference} (99 %: {low} to {high}).",
    ),
    figures=(
        Figure(title="What a linear probe can read", curves=("probe by layer",)),
        Figure(title="Gradient on the stream", curves=("gradient by layer",)),
    ),
    budgets=deeper(with_steps(BUDGETS, quick=250), quick=8, standard=48, full=48)
    | {"standard": deep(quick=(8, 250), standard=(48, 150), full=48)["standard"]},
    decides=True,
)
