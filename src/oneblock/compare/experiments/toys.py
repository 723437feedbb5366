"""E17: stacks that only multiply: what a residual's factor does to depth."""

from math import log

from oneblock.compare.experiment import Above, Below, Budget, Experiment, Figure, Sayings

LAYERS = 12
SIZES = Budget(settings=("context=16", "width=16", "num_layers=6", "block.attention.num_heads=2"), seeds=3)


def times(factor: float) -> tuple[str, ...]:
    """Every step multiplies the stream and adds nothing; a block has one step."""
    return ("block.residual=scaled", f"block.residual.skip={factor}", "block.residual.branch=0")


EXPERIMENT = Experiment(
    name="toys",
    row="E17",
    claim="A stack that multiplies by 1.8 in every layer explodes, by 0.2 collapses, by −1.2 turns sign every layer; "
    "its gradient does the same.",
    source="the course's toy stacks, computed: 1.8¹² = 1157, 0.2¹² = 4.1e-9, (−1.2)¹² = 8.9",
    base=(f"num_layers={LAYERS}", "block.steps=attention", "block.norm=none", "final_norm=none"),
    variants={"×1": times(1.0), "×1.8": times(1.8), "×0.2": times(0.2), "×−1.2": times(-1.2)},
    measures=("growth", "gradient", "flips"),
    rule=(
        Above(a="×1.8", bound=0.999 * LAYERS * log(1.8), measure="growth"),
        Above(a="×1.8", bound=0.999 * LAYERS * log(1.8), measure="gradient"),
        Below(a="×0.2", bound=0.999 * LAYERS * log(0.2), measure="growth"),
        Below(a="×0.2", bound=0.999 * LAYERS * log(0.2), measure="gradient"),
        Above(a="×−1.2", bound=0.999, measure="flips"),
        Below(a="×1", bound=0.001, measure="flips"),
    ),
    says=Sayings(
        supported="Twelve layers of ×1.8 make the stream and the gradient 1157 times as large, of ×0.2 four "
        "billionths, and ×−1.2 turns the sign at every layer; ×1, a plain residual, does none of this.",
        refuted="The toy stack did not multiply as it should: that is a fault of the code, not of the claim.",
    ),
    figures=(
        Figure(title="The stream on its way up", curves=("stream at the start by layer",)),
        Figure(title="The gradient on its way down", curves=("gradient at the start by layer",)),
    ),
    budgets={"quick": SIZES, "standard": SIZES, "full": SIZES},
    trains=False,
    decides=True,
)
