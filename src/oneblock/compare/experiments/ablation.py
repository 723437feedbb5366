"""E4: every component of the block left out, one at a time."""

from oneblock.compare.experiment import BUDGETS, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps

WITHOUT = {
    "no attention": ("block.steps=feed_forward",),
    "no feed-forward": ("block.steps=attention",),
    "no norms": ("block.placement=none",),
    "no residual of attention": ("block.attention_only.residual=off",),
    "no residual of the feed-forward": ("block.feed_forward_only.residual=off",),
    "no residuals": ("block.residual=off",),
    "no positions": ("position=none",),
}

EXPERIMENT = Experiment(
    name="ablation",
    row="E4",
    claim="Each component of the block lowers the loss: leave any of them out, and it rises.",
    source="the course's block lesson; Vaswani et al. 2017 for the block itself",
    # Each matrix keeps the variance of what it is given: a stack without residuals shall not die of its start alone.
    base=("init=fan_in", "init.output=full", "block.feed_forward=gelu"),
    variants={"whole": (), **WITHOUT},
    measures=("val_loss", "train_loss", "grad_norm"),
    rule=tuple(Lower(a="whole", b=name) for name in WITHOUT),
    says=Sayings(
        supported="Every part is needed: without any one of them the loss rose by more than seeds explain.",
        refuted="Not every part helped at this size: with {b} the loss was lower (whole minus that: {difference} "
        "nats).",
        inside="Not every part showed its use at this size: with {b} the loss differed by {difference} nats, which "
        "{seeds} seeds do not tell from chance.",
    ),
    budgets=with_steps(BUDGETS, quick=250, standard=300),
)
