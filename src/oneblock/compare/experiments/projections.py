"""E13: one fused projection to queries, keys and values against three."""

from oneblock.compare.experiment import Above, Budget, Experiment, Sayings

SIZES = ("context=64", "num_layers=4", "width=128", "block.attention.num_heads=4", "recipe.batch_size=8")
EACH = "a group for each head"
MEASURES = ("projection_gain", "projection_training_gain", "projection_token_gain", "projection_step_gain")

EXPERIMENT = Experiment(
    name="projections",
    row="E13",
    claim="One fused projection to queries, keys and values takes less time than three of the same weights: alone, for "
    "a single token, and in a step of training.",
    source="the course's multi-head lesson",
    # The clock is to see products, not chance.
    base=("block.dropout=0", "embedding_dropout=0"),
    variants={EACH: (), "one group": ("block.attention.num_kv_heads=1",)},
    measures=MEASURES,
    rule=tuple(Above(a=EACH, bound=0.0, measure=measure) for measure in MEASURES),
    says=Sayings(
        supported="Three projections took longer than one fused one of the same weights, alone and in a step (ln of "
        "the ratio alone: {difference}, 99 %: {low} to {high}).",
        refuted="A fused projection was not the faster one in all of it here: ln of three's time over one's was "
        "{difference} (99 %: {low} to {high}).",
        inside="Not in all of it could one fused projection be told from three: ln of the ratio {difference} (99 %: "
        "{low} to {high}; noise floor {floor}).",
    ),
    budgets={
        "quick": Budget(settings=SIZES, seeds=6),
        "standard": Budget(settings=(*SIZES, "context=128", "width=256"), seeds=8),
        "full": Budget(settings=(*SIZES, "context=1024", "width=1024", "block.attention.num_heads=16"), seeds=8),
    },
    trains=False,
)
