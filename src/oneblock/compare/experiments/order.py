"""E5: attention and feed-forward in their usual order, the other way round, and sandwiched."""

from oneblock.compare.experiment import BUDGETS, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import deeper, with_steps

# Of four layers: two attentions first, two whole blocks, two feed-forwards last; as many of each as interleaved.
SANDWICH = (
    "num_layers=6",
    "blocks=6",
    "blocks.0.steps=attention",
    "blocks.1.steps=attention",
    "blocks.4.steps=feed_forward",
    "blocks.5.steps=feed_forward",
)

EXPERIMENT = Experiment(
    name="order",
    row="E5",
    claim="Attention before the feed-forward, interleaved, is the better order of sublayers.",
    source="the course's block lesson; Press, Smith and Levy 2020 found sandwiches better by 0.4 points of perplexity",
    variants={
        "attention first": (),
        "feed-forward first": ("block.steps=feed_forward,attention",),
        "sandwich": SANDWICH,
    },
    equal="parameters",
    measures=("val_loss", "train_loss", "growth"),
    rule=(
        Lower(a="attention first", b="feed-forward first"),
        Lower(a="attention first", b="sandwich"),
    ),
    says=Sayings(
        supported="Attention first and interleaved reached the lowest loss: minus that of {b}, {difference} nats.",
        refuted="The usual order was not the best: {b} reached a lower loss (the difference is {difference} nats).",
        inside="The order of the sublayers made no difference that {seeds} seeds can tell from chance ({difference} "
        "nats against {b}, noise floor {floor}).",
    ),
    budgets=deeper(with_steps(BUDGETS, quick=300), quick=4, standard=4, full=4),
)
