"""E17: chains of slopes: what twelve layers leave of a gradient, and what eight unequal ones do."""

from math import log, prod

from oneblock.compare.experiment import Above, Below, Budget, Experiment, Figure, Sayings
from oneblock.compare.experiments import toys
from oneblock.compare.experiments.toys import LAYERS

MIXED = (0.8, 1.1, 0.7, 1.3, 0.9, 1.2, 0.6, 1.4)
LEFT = log(prod(MIXED))
SIZES = Budget(settings=("context=16", "width=16", "block.attention.num_heads=2"), seeds=3)
EXACT = 0.001


def chain(*slopes: float) -> tuple[str, ...]:
    """Blocks of one step that multiply the stream and add nothing; the pattern of slopes is repeated."""
    return (
        "block.residual=scaled",
        "block.residual.branch=0",
        f"blocks={len(slopes)}",
        *(f"blocks.{place}.residual.skip={slope}" for place, slope in enumerate(slopes)),
    )


EXPERIMENT = Experiment(
    name="slopes",
    row="E17",
    claim="A gradient comes down through layers as the product of their slopes: twelve of 0.6 leave 0.002 of it, "
    "twelve of 1.4 make 57 of it, and eight mixed ones, from 0.6 to 1.4, leave 0.73; a slope of 1 passes it on.",
    source="the course's residual lesson, computed: 0.6¹² = 0.0022, 1.4¹² = 56.7, "
    "0.8 · 1.1 · 0.7 · 1.3 · 0.9 · 1.2 · 0.6 · 1.4 = 0.7265",
    base=toys.EXPERIMENT.base,
    variants={
        "1": chain(1.0),
        "0.6": chain(0.6),
        "1.4": chain(1.4),
        "mixed": (*chain(*MIXED), f"num_layers={len(MIXED)}"),
    },
    measures=("gradient", "growth"),
    rule=(
        Below(a="0.6", bound=LAYERS * log(0.6) + EXACT, measure="gradient"),
        Above(a="0.6", bound=LAYERS * log(0.6) - EXACT, measure="gradient"),
        Above(a="1.4", bound=LAYERS * log(1.4) - EXACT, measure="gradient"),
        Below(a="1.4", bound=LAYERS * log(1.4) + EXACT, measure="gradient"),
        Above(a="mixed", bound=LEFT - EXACT, measure="gradient"),
        Below(a="mixed", bound=LEFT + EXACT, measure="gradient"),
        Above(a="1", bound=-EXACT, measure="gradient"),
        Below(a="1", bound=EXACT, measure="gradient"),
    ),
    says=Sayings(
        supported="Twelve slopes of 0.6 leave 0.002 of a gradient, twelve of 1.4 make 57 times as much of it; eight "
        "from 0.6 to 1.4 leave 0.73: what counts is the product, not any one of them, and only slopes of 1 pass on "
        "all of it at any depth.",
        refuted="The chain did not multiply as it should: that is a fault of the code, not of the claim.",
    ),
    figures=(
        Figure(title="The gradient on its way down", curves=("gradient at the start by layer",)),
        Figure(title="The stream on its way up", curves=("stream at the start by layer",)),
    ),
    budgets={"quick": SIZES, "standard": SIZES, "full": SIZES},
    trains=False,
    decides=True,
)
