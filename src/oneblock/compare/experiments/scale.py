"""E11: attention scores with and without 1/√d, for heads of different width."""

from oneblock.compare.experiment import Alike, Below, Budget, Experiment, Figure, Lower, Sayings

SIZES = ("context=64", "width=256", "num_layers=4")
HEADS = {16: "block.attention.num_heads=16", 256: "block.attention.num_heads=1"}
"""Width of a head -> the heads of that width in a model of width 256."""
PLAIN = "block.attention.scale=1"

EXPERIMENT = Experiment(
    name="scale",
    row="E11",
    claim="Without 1/√d the variance of attention scores grows with the width d of a head, the softmax saturates, and "
    "little gradient comes back through it; with 1/√d neither depends on d.",
    source="Vaswani et al. 2017, section 3.2.1 and footnote 4: q·k of d independent parts has variance d",
    # Queries and keys of unit variance, as the argument has them.
    base=("init=fan_in", "position=none"),
    variants={
        "d = 16": (HEADS[16],),
        "d = 256": (HEADS[256],),
        "d = 16, no scale": (HEADS[16], PLAIN),
        "d = 256, no scale": (HEADS[256], PLAIN),
    },
    measures=("score_variance", "softmax_slope"),
    rule=(
        Alike(a="d = 256", b="d = 16", within=0.3, measure="score_variance"),
        Lower(a="d = 16, no scale", b="d = 256, no scale", measure="score_variance"),
        Lower(a="d = 256, no scale", b="d = 16, no scale", measure="softmax_slope"),
        Below(a="d = 256, no scale", bound=0.5, measure="softmax_slope"),
    ),
    says=Sayings(
        supported="Without 1/√d the scores' variance grows as the width of a head does, and in heads of 256 the "
        "softmax keeps less than half of its slope; with 1/√d neither depends on the width.",
        refuted="The scale did not act as claimed: {a}, {difference} (99 %: {low} to {high}).",
    ),
    figures=(
        Figure(title="Variance of the scores", curves=("score variance by layer",)),
        Figure(title="What is left of the softmax's slope", curves=("slope by layer",)),
    ),
    budgets={
        "quick": Budget(settings=SIZES, seeds=8),
        "standard": Budget(settings=(*SIZES, "context=128", "num_layers=8"), seeds=16),
        "full": Budget(settings=(*SIZES, "context=256", "num_layers=12"), seeds=32),
    },
    trains=False,
    decides=True,
)
