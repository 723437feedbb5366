"""E14: what a key/value cache saves, by how many tokens stand before, and where it saves nothing."""

from math import log

from oneblock.compare.experiment import Above, Below, Budget, Experiment, Figure, Sayings

SIZES = ("num_layers=4", "context=512", "width=128", "block.attention.num_heads=4")

EXPERIMENT = Experiment(
    name="cache",
    row="E14",
    claim="Without a key/value cache a token takes longer the more stand before it; with one, hardly, and the logits "
    "are the same. In training, where all targets are known, one pass is faster than any cache.",
    source="Shazeer 2019, sections 2.3 and 2.4 (incremental inference); Pope et al. 2022",
    variants={"a group for each head": (), "one group": ("block.attention.num_kv_heads=1",)},
    measures=("cache_error", "uncached_growth", "cached_growth", "cache_gain", "one_pass_gain", "cached_training_gain"),
    rule=(
        Below(a="a group for each head", bound=-10.0, measure="cache_error"),
        Below(a="one group", bound=-10.0, measure="cache_error"),
        Above(a="a group for each head", bound=log(2), measure="uncached_growth"),
        Below(a="a group for each head", bound=log(2), measure="cached_growth"),
        Above(a="a group for each head", bound=log(2), measure="cache_gain"),
        Above(a="a group for each head", bound=log(2), measure="one_pass_gain"),
        Above(a="a group for each head", bound=log(2), measure="cached_training_gain"),
    ),
    says=Sayings(
        supported="From an eighth of the length to all of it, a token without a cache takes more than twice as long, "
        "and with one less than twice; the logits are the same to rounding. All tokens at once take less than half "
        "of what a cache needs for one after another, and so does a step of training, forward and backward.",
        refuted="The cache did not act as claimed: {a}, {difference} from its bound (99 %: {low} to {high}).",
    ),
    figures=(Figure(title="Milliseconds for a token", curves=("cached latency", "uncached latency")),),
    budgets={
        "quick": Budget(settings=SIZES, seeds=6),
        "standard": Budget(settings=(*SIZES, "context=1024", "width=256"), seeds=8),
        "full": Budget(settings=(*SIZES, "context=4096", "width=1024", "num_layers=12"), seeds=8),
    },
    trains=False,
    decides=True,
)
