"""E15: the router in float32 and in bfloat16, and its initial scale."""

from oneblock.compare.experiment import BUDGETS, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps
from oneblock.compare.experiments.experts import QUALITY, SWITCH

EXPERIMENT = Experiment(
    name="router",
    row="E15",
    claim="With its router in bfloat16, or with an initial scale of 1 in place of 0.1, a Switch trains to a higher "
    "loss.",
    source="Fedus et al. 2022: table 2, −3.780 in bfloat16 against −1.716 with the router in float32; table 3, "
    "−3.60 ± 0.68 against −2.72 ± 0.01 after 3.5k steps",
    variants={
        "float32, scale 0.1": SWITCH,
        "bfloat16": (*SWITCH, "block.feed_forward.router_precision=bfloat16"),
        "scale 1": (*SWITCH, "block.feed_forward.init_scale=1"),
    },
    measures=("val_loss", "train_loss", "moved", "imbalance", "spikes", "grad_norm", "step_seconds"),
    rule=(
        Lower(a="float32, scale 0.1", b="bfloat16", expects=2.06),
        Lower(a="float32, scale 0.1", b="scale 1", expects=0.88),
    ),
    says=Sayings(
        supported="Both cost something: {a} minus {b} was {difference} nats (99 %: {low} to {high}).",
        refuted="At this size the claim did not hold: {a} minus {b} is {difference} nats (99 %: {low} to {high}).",
        inside="At this size {a} and {b} were not told apart, where the paper's runs lie nats from one another: "
        "{difference} (99 %: {low} to {high}; noise floor {floor}).",
    ),
    figures=QUALITY,
    budgets=with_steps(BUDGETS, quick=200, standard=300),
)
