"""E15: experts in every block, in every other one, and in none."""

from oneblock.compare.experiment import BUDGETS, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import deeper, with_steps
from oneblock.compare.experiments.experts import QUALITY, SWITCH

DENSE = "feed_forward=relu2"
SECOND = tuple(setting.replace("block.", "blocks.1.", 1) for setting in SWITCH)

EXPERIMENT = Experiment(
    name="expert-layers",
    row="E15",
    claim="Experts in every other block reach a lower loss than dense feed-forwards at the same cost of a token, and "
    "experts in every block a lower one still.",
    source="Lepikhin et al. 2021, section 2.2, and Fedus et al. 2022 put them in every other feed-forward; Fedus et "
    "al. 2022, table 1, for the size against dense, and section 3.1: more experts at the same cost, a lower loss",
    variants={
        "every block": SWITCH,
        "every other": ("blocks=2", f"blocks.0.{DENSE}", *SECOND),
        "none": (f"block.{DENSE}",),
    },
    measures=("val_loss", "train_loss", "imbalance", "dropped", "step_seconds"),
    rule=(
        Lower(a="every other", b="none", expects=0.17),
        Lower(a="every block", b="every other"),
    ),
    says=Sayings(
        supported="Experts in every other block lowered the loss, and in every block more: {a} minus {b}, {difference} "
        "nats (99 %: {low} to {high}).",
        refuted="At this size the claim did not hold: with experts in {a} minus in {b} the loss is {difference} nats "
        "(99 %: {low} to {high}).",
        untestable="The published gain, 0.17 nats after 100k steps with 128 experts, is more than runs this small can "
        "show: with experts in {a} minus in {b}, {difference}; these seeds find {detectable} four times in five.",
    ),
    figures=QUALITY,
    budgets=deeper(with_steps(BUDGETS, quick=150, standard=350), quick=4, standard=4, full=4),
)
