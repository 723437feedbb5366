"""E7: where the norms stand."""

from oneblock.compare.experiment import BUDGETS, Experiment, Figure, Lower, Sayings
from oneblock.compare.experiments.budgets import deeper, with_steps

EXPERIMENT = Experiment(
    name="placement",
    row="E7",
    claim="In a deep stack peri-norm reaches a lower loss than pre-norm, and both a lower one than post-norm.",
    source="Kim et al. 2025 (Peri-LN): C4 loss 3.34 against 3.43 at 400M parameters; Xiong et al. 2020 for post-norm",
    variants={
        "pre": ("block.placement=pre",),
        "post": ("block.placement=post",),
        "peri": ("block.placement=peri",),
    },
    measures=("val_loss", "train_loss", "grad_norm", "spikes", "growth", "peak", "gradient"),
    rule=(
        Lower(a="peri", b="pre", expects=0.09),
        Lower(a="pre", b="post"),
        Lower(a="peri", b="post"),
    ),
    says=Sayings(
        supported="Peri-norm reached the lowest loss, then pre-norm, then post-norm, each by more than seeds explain.",
        refuted="The order of the paper did not hold here: {b} reached a lower loss than {a} ({difference} nats).",
        inside="Not all placements could be told apart: {a} minus {b} was {difference} nats, noise floor {floor}.",
        untestable="Runs this small cannot see the published gain of peri-norm, 0.09 nats: {a} minus {b} was "
        "{difference}, and these seeds find {detectable} four times in five.",
    ),
    figures=(
        Figure(title="The stream after training", curves=("stream by layer",)),
        Figure(title="While it trains", curves=("gradient norm by step",)),
        Figure(title="Gradient on the stream", curves=("gradient by layer",)),
    ),
    budgets=deeper(with_steps(BUDGETS, quick=250, standard=300), quick=6, standard=12, full=36),
)
