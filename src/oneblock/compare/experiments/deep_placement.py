"""E7: pre-, post- and peri-norm in a deep stack, with a learning rate that warms up and with one that does not."""

from oneblock.compare.experiment import Experiment, Figure, Lower, Sayings
from oneblock.compare.experiments.budgets import deep

COLD, WARM = "recipe.schedule.warmup=0", "recipe.schedule.warmup=40"

EXPERIMENT = Experiment(
    name="deep-placement",
    row="E7",
    claim="In a deep stack without warm-up post-norm falls behind pre- and peri-norm, and warm-up helps it; under "
    "peri-norm the stream's largest number stays below that of pre-norm, and it grows less over depth.",
    source="Xiong et al. 2020, section 3 and figure 2 (warm-up); Kim et al. 2025 (Peri-LN): hidden states of pre-norm "
    "pass float16's largest number within 0.5 billion tokens",
    variants={
        "pre": ("block.placement=pre", COLD),
        "post": ("block.placement=post", COLD),
        "peri": ("block.placement=peri", COLD),
        "pre, warm-up": ("block.placement=pre", WARM),
        "post, warm-up": ("block.placement=post", WARM),
        "peri, warm-up": ("block.placement=peri", WARM),
    },
    measures=("val_loss", "train_loss", "spikes", "grad_norm", "peak", "fp16_over", "bf16_loss", "growth"),
    rule=(
        Lower(a="pre", b="post"),
        Lower(a="peri", b="post"),
        Lower(a="post, warm-up", b="post"),
        Lower(a="peri", b="pre", measure="peak"),
        Lower(a="peri", b="pre", measure="growth"),
    ),
    says=Sayings(
        supported="Without warm-up the deep post-norm stack ended at a higher loss than pre- and peri-norm, and "
        "warm-up lowered it, each at its own best learning rate; the stream of peri-norm stayed smaller than that of "
        "pre-norm, and grew less.",
        refuted="At this depth and size the claim did not hold: {a} minus {b} is {difference} (99 %: {low} to {high}).",
    ),
    figures=(
        Figure(title="The stream before training", curves=("stream at the start by layer",)),
        Figure(title="The stream after training", curves=("stream by layer",)),
        Figure(title="Rounded off in bfloat16", curves=("rounding by layer",)),
        Figure(title="While it trains", curves=("gradient norm by step",)),
    ),
    budgets=deep(quick=(12, 120), standard=(36, 150), full=36),
)
