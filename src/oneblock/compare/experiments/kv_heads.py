"""E13: heads that share keys and values: quality against cache bytes."""

from oneblock.compare.experiment import Against, Alike, Experiment, Sayings

EXPERIMENT = Experiment(
    name="kv-heads",
    row="E13",
    claim="Query heads that share keys and values keep the quality within 0.05 nats, with a fraction of the cache.",
    source="Ainslie et al. 2023 (GQA): T5-XXL 47.1 with 8 groups against 47.2, multi-query 46.6",
    base=("block.attention.num_heads=4",),
    variants={
        "4 groups": ("block.attention.num_kv_heads=4",),
        "2 groups": ("block.attention.num_kv_heads=2",),
        "1 group": ("block.attention.num_kv_heads=1",),
    },
    equal="parameters",
    measures=("val_loss", "train_loss", "cache_bytes", "step_seconds"),
    rule=(
        Alike(a="2 groups", b="4 groups", within=0.05),
        Alike(a="1 group", b="4 groups", within=0.05),
    ),
    says=Sayings(
        supported="With two groups and with one, the loss stays within 0.05 nats of a group for each head, at equal "
        "parameters, and the cache is a half and a quarter.",
        refuted="At equal parameters {a} and {b} differ by more than 0.05 nats: {difference} (99 %: {low} to {high}).",
        untestable="Runs this small cannot tell 0.05 nats: {a} minus {b} was {difference} (99 %: {low} to {high}).",
    ),
    figures=(Against(title="Cache against quality", x="cache_bytes", y="val_loss"),),
)
