"""E8: LayerNorm, RMSNorm, partial RMSNorm."""

from oneblock.compare.experiment import Alike, Experiment, Sayings

EXPERIMENT = Experiment(
    name="norms",
    row="E8",
    claim="RMSNorm, and RMSNorm of a part of the features, reach LayerNorm's quality within 0.03 nats.",
    source="Zhang and Sennrich 2019 (RMSNorm): 26.8 and 26.5 BLEU against 26.6 on newstest2014",
    variants={
        "layer": ("block.norm=layer",),
        "rms": ("block.norm=rms",),
        "partial rms": ("block.norm=partial_rms", "block.norm.fraction=0.25"),
    },
    rule=(Alike(a="rms", b="layer", within=0.03), Alike(a="partial rms", b="layer", within=0.03)),
    says=Sayings(
        supported="RMSNorm reaches LayerNorm's loss within 0.03 nats, and so does its partial form.",
        refuted="{a} and {b} differ by more than 0.03 nats here: {difference} (99 %: {low} to {high}).",
        inside="Whether {a} stays within 0.03 nats of {b} was not settled: {difference} (99 %: {low} to {high}).",
        untestable="Runs this small cannot tell 0.03 nats: {a} minus {b} was {difference} (99 %: {low} to {high}).",
    ),
)
