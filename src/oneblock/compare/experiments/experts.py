"""E15: one expert of eight for each token, two smaller ones, and a dense feed-forward, at equal FLOPs."""

from oneblock.compare.experiment import BUDGETS, Experiment, Figure, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps

SWITCH = ("block.feed_forward=switch", "block.feed_forward.num_experts=8", "block.feed_forward.expert=relu2")
GSHARD = (
    "block.feed_forward=gshard",
    "block.feed_forward.num_experts=8",
    "block.feed_forward.expert=relu2",
    "block.feed_forward.expert.ratio=2",
)
QUALITY = (
    Figure(title="Quality per second", curves=("loss by second",)),
    Figure(title="Quality per FLOP", curves=("loss by FLOPs",)),
)

EXPERIMENT = Experiment(
    name="experts",
    row="E15",
    claim="With as many FLOPs for each token, eight experts of which it takes one (Switch) or two of half the width "
    "(GShard) reach a lower loss than a dense feed-forward; the balancing loss is what spreads the tokens.",
    source="Fedus et al. 2022, table 1: 0.17 nats below T5-Base after 100k steps with 128 experts; equation 4",
    variants={
        "switch": SWITCH,
        "dense": ("block.feed_forward=relu2",),
        "gshard": GSHARD,
        "switch, no balancing": (*SWITCH, "block.feed_forward.auxiliary_weight=0"),
        "switch, initial scale 1": (*SWITCH, "block.feed_forward.init_scale=1"),
    },
    equal="flops",
    measures=("val_loss", "train_loss", "imbalance", "dropped", "step_seconds"),
    rule=(
        Lower(a="switch", b="dense", expects=0.17),
        Lower(a="gshard", b="dense", expects=0.17),
        Lower(a="switch", b="switch, no balancing", measure="imbalance"),
    ),
    says=Sayings(
        supported="At equal FLOPs both mixtures reached a lower loss than the dense feed-forward ({a} minus {b}: "
        "{difference} nats, 99 %: {low} to {high}), and without its balancing loss one expert had more of the tokens.",
        refuted="At this size the claim did not hold: {a} minus {b} is {difference} (99 %: {low} to {high}).",
        untestable="The published gain, 0.17 nats after 100k steps with 128 experts, is more than runs this small can "
        "show: {a} minus {b} was {difference}, and these seeds find {detectable} four times in five.",
    ),
    figures=(Figure(title="Tokens for each expert", curves=("tokens by expert",)), *QUALITY),
    budgets=with_steps(BUDGETS, quick=200, standard=300),
)
