"""E7: learning rates that start high, under post-norm and under pre-norm."""

from oneblock.compare.experiment import BUDGETS, Alike, Experiment, Figure, Lower, Sayings
from oneblock.compare.experiments.budgets import deeper, with_steps

COLD, WARM = "recipe.schedule.warmup=0", "recipe.schedule.warmup=50"

EXPERIMENT = Experiment(
    name="warm-up",
    row="E7",
    claim="Post-norm needs a learning rate that warms up; pre-norm does as well without, within 0.05 nats.",
    source="Xiong et al. 2020, section 3.1 and figure 2",
    variants={
        "post, warm-up": ("block.placement=post", WARM),
        "post": ("block.placement=post", COLD),
        "pre, warm-up": ("block.placement=pre", WARM),
        "pre": ("block.placement=pre", COLD),
    },
    measures=("val_loss", "train_loss", "grad_norm", "spikes"),
    rule=(
        Lower(a="post, warm-up", b="post"),
        Alike(a="pre", b="pre, warm-up", within=0.05),
    ),
    says=Sayings(
        supported="Without warm-up post-norm ends at a higher loss, each at its own best learning rate; for pre-norm "
        "the difference stays within 0.05 nats.",
        refuted="Warm-up did not act as claimed: {a} minus {b} is {difference} nats (99 %: {low} to {high}).",
        untestable="Runs this small cannot tell 0.05 nats: {a} minus {b} was {difference} (99 %: {low} to {high}).",
    ),
    figures=(Figure(title="While it trains", curves=("gradient norm by step",)),),
    budgets=deeper(with_steps(BUDGETS, quick=200), quick=6, standard=8, full=24),
)
