"""E9: dense and gated feed-forwards at truly equal parameters: the table of all gates."""

from oneblock.compare.experiment import BUDGETS, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps

EXPERIMENT = Experiment(
    name="feed-forwards",
    row="E9",
    claim="Gated feed-forwards (GEGLU, SwiGLU) reach a lower loss than ReLU at equal parameters.",
    source="Shazeer 2020 (GLU variants): lower by 0.044 and 0.041 nats after 524k steps, 0.055 and 0.053 after 65k",
    variants={
        "relu": ("block.feed_forward=relu",),
        "gelu": ("block.feed_forward=gelu",),
        "relu2": ("block.feed_forward=relu2",),
        "geglu": ("block.feed_forward=geglu",),
        "swiglu": ("block.feed_forward=swiglu",),
        "reglu": ("block.feed_forward=reglu",),
        "glu": ("block.feed_forward=glu",),
        "bilinear": ("block.feed_forward=bilinear",),
    },
    equal="parameters",
    tolerance=0.005,
    rule=(Lower(a="geglu", b="relu", expects=0.044), Lower(a="swiglu", b="relu", expects=0.041)),
    says=Sayings(
        supported="At equal parameters both gated feed-forwards beat ReLU: {a} minus {b}, {difference} nats (99 %: "
        "{low} to {high}).",
        refuted="At equal parameters {a} did not beat {b} here: the difference is {difference} nats.",
        untestable="The published gain, about 0.04 nats, is less than runs this small can see: {a} minus {b} was "
        "{difference}, and these seeds find {detectable} four times in five.",
    ),
    budgets=with_steps(BUDGETS, quick=300),
)
