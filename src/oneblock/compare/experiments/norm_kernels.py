"""E8: what LayerNorm, RMSNorm and partial RMSNorm take: alone, written out, and in a step of training."""

from math import log

from oneblock.compare.experiment import Above, Budget, Experiment, Figure, Sayings

SIZES = ("context=64", "num_layers=4", "width=128", "block.attention.num_heads=4", "recipe.batch_size=8")
FASTER = -log(1 - 0.07)
"""7 % less time, as ln of the ratio of times."""

EXPERIMENT = Experiment(
    name="norm-kernels",
    row="E8",
    claim="RMSNorm takes at least 7 % less time than LayerNorm, and so does RMSNorm of a part of the features: written "
    "out, by PyTorch's kernels, and in a step of training.",
    source="Zhang and Sennrich 2019: 7 to 64 % less time; for a Transformer 231 s against 248 s for 1k steps, partial "
    "225 s",
    # The clock is to see norms, not chance.
    base=("block.dropout=0", "embedding_dropout=0"),
    # LayerNorm against itself: what is left of 0 is what the clock is worth.
    variants={
        "layer": ("block.norm=layer",),
        "rms": ("block.norm=rms",),
        "partial rms": ("block.norm=partial_rms",),
    },
    measures=("written_norm_gain", "norm_gain", "norm_step_gain"),
    rule=tuple(
        Above(a=norm, bound=FASTER, measure=measure)
        for measure in ("norm_step_gain", "norm_gain", "written_norm_gain")
        for norm in ("rms", "partial rms")
    ),
    says=Sayings(
        supported="RMSNorm and its partial form took at least 7 % less time than LayerNorm, written out, by their "
        "kernels, and in a step of training.",
        refuted="Not in all of it did {a} save 7 % of LayerNorm's time here: ln of the ratio is {difference} from that "
        "(99 %: {low} to {high}). What a kernel fuses counts for more than the mean that is not taken.",
    ),
    figures=(Figure(title="A norm alone", curves=("norm by width",)),),
    budgets={
        "quick": Budget(settings=SIZES, seeds=6),
        "standard": Budget(settings=(*SIZES, "context=128", "width=256"), seeds=8),
        "full": Budget(settings=(*SIZES, "context=1024", "width=1024", "block.attention.num_heads=16"), seeds=8),
    },
    trains=False,
)
