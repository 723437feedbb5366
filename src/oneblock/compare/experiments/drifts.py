"""E17: numbers that drift through a stack: that grow, that shrink, whose mean shifts; and what a norm takes out."""

from math import log

from oneblock.compare.experiment import Above, Below, Budget, Experiment, Figure, Sayings
from oneblock.compare.experiments import toys
from oneblock.compare.experiments.toys import LAYERS, times

SIZES = Budget(settings=("context=16", "width=16", "block.attention.num_heads=2"), seeds=3)
EXACT = 0.01
LAYER, RMS = (("block.placement=post", f"block.norm={norm}") for norm in ("layer", "rms"))
GROWS, SHRINKS, SHIFTS = times(1.8), times(0.2), ("fault=shift",)

EXPERIMENT = Experiment(
    name="drifts",
    row="E17",
    claim="Layers that multiply let a token's features drift apart or together, layers that add the same to every "
    "feature let their mean drift. LayerNorm takes out both; RMSNorm leaves the mean, until all features are alike.",
    source="the course's norm lesson; Ba, Kiros and Hinton 2016, and Zhang and Sennrich 2019, section 4: LayerNorm "
    "takes the mean out, RMSNorm does without it",
    base=toys.EXPERIMENT.base,
    variants={
        "shifts, LayerNorm": (*LAYER, *SHIFTS),
        "shifts": SHIFTS,
        "shifts, RMSNorm": (*RMS, *SHIFTS),
        "grows": GROWS,
        "grows, LayerNorm": (*LAYER, *GROWS),
        "shrinks": SHRINKS,
        "shrinks, LayerNorm": (*LAYER, *SHRINKS),
    },
    measures=("token_mean", "deviation", "growth"),
    rule=(
        Above(a="grows", bound=log(1000), measure="growth"),
        Below(a="shrinks", bound=-log(1e8), measure="growth"),
        Above(a="shifts", bound=0.99 * LAYERS, measure="token_mean"),
        Below(a="grows, LayerNorm", bound=EXACT, measure="deviation"),
        Above(a="shrinks, LayerNorm", bound=-EXACT, measure="deviation"),
        Below(a="shifts, LayerNorm", bound=EXACT, measure="token_mean"),
        Above(a="shifts, LayerNorm", bound=-EXACT, measure="deviation"),
        Above(a="shifts, RMSNorm", bound=1 - EXACT, measure="token_mean"),
        Below(a="shifts, RMSNorm", bound=-(LAYERS - 1) * log(2), measure="deviation"),
    ),
    says=Sayings(
        supported="After twelve layers of ×1.8, of ×0.2 and of +1 to every feature, LayerNorm behind each had held a "
        "token's mean at 0 and its deviation at 1. RMSNorm kept the size and not the mean: where every layer adds 1, "
        "the features became alike, what told them apart more than halved by every layer.",
        refuted="The stack did not drift as it should: {a}, {difference} (99 %: {low} to {high}).",
    ),
    figures=(
        Figure(title="A token's mean", curves=("mean by layer",)),
        Figure(title="Its features' deviation", curves=("deviation by layer",)),
    ),
    budgets={"quick": SIZES, "standard": SIZES, "full": SIZES},
    trains=False,
    decides=True,
)
