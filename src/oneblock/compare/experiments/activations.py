"""E9: plain activations, at truly equal parameters; its runs are those of `feed-forwards`."""

from oneblock.compare.experiment import Alike, Experiment, Sayings
from oneblock.compare.experiments import feed_forwards

PLAIN = ("relu", "gelu", "relu2")
GATED = feed_forwards.EXPERIMENT

EXPERIMENT = Experiment(
    name="activations",
    row="E9",
    claim="Feed-forwards without a gate cannot be told apart by their activation: ReLU, GELU and ReLU² lie within 0.05 "
    "nats.",
    source="Shazeer 2020 (GLU variants), table 1: ReLU, GELU and Swish lie within 0.01 nats after 524k steps",
    variants={name: GATED.variants[name] for name in PLAIN},
    equal=GATED.equal,
    tolerance=GATED.tolerance,
    rule=(Alike(a="gelu", b="relu", within=0.05), Alike(a="relu2", b="relu", within=0.05)),
    says=Sayings(
        supported="Without a gate the activation hardly matters: GELU and ReLU² lie within 0.05 nats of ReLU.",
        refuted="Here the activation matters: {a} minus {b} is {difference} nats (99 %: {low} to {high}).",
        untestable="Runs this small cannot tell 0.05 nats: {a} minus {b} was {difference} (99 %: {low} to {high}).",
    ),
    budgets=GATED.budgets,
)
