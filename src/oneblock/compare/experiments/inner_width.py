"""E9: the feed-forward's inner width, from once to eight times the model's, at equal parameters."""

from oneblock.compare.experiment import BUDGETS, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps

EXPERIMENT = Experiment(
    name="inner-width",
    row="E9",
    claim="At equal parameters an inner width of four times the model's is better than once and than eight times.",
    source="the course's feed-forward lesson; Vaswani et al. 2017: 2048 for 512; Kaplan et al. 2020, figure 5: it "
    "matters little",
    base=("block.feed_forward=gelu",),
    variants={f"{ratio} ×": (f"block.feed_forward.ratio={ratio}",) for ratio in (4, 1, 2, 8)},
    equal="parameters",
    # The width comes near; the inner one is then a little more or less than its ratio says.
    solve="shape",
    rule=(Lower(a="4 ×", b="1 ×"), Lower(a="4 ×", b="8 ×")),
    says=Sayings(
        supported="At equal parameters four times the width is a better inner width than once and than eight times: "
        "less that of {b}, {difference} nats (99 %: {low} to {high}).",
        refuted="At equal parameters {b} the width was a better inner width than four times here ({difference} nats).",
        inside="At equal parameters the inner width mattered little: {a} minus {b}, {difference} nats (99 %: {low} to "
        "{high}; noise floor {floor}).",
    ),
    budgets=with_steps(BUDGETS, quick=300),
)
