"""E10: positions, inside the trained length; its runs are those of `positions`."""

from oneblock.compare.experiment import Experiment, Lower, Sayings
from oneblock.compare.experiments import positions

BEYOND = positions.EXPERIMENT

EXPERIMENT = Experiment(
    name="trained-length",
    row="E10",
    claim="Inside the trained length too ALiBi reaches a lower loss than sinusoidal and rotary positions, by 0.016 and "
    "0.017 nats.",
    source="Press, Smith and Lewis 2022 (ALiBi): perplexity at the trained length of 512, ALiBi 19.73, T5 19.65, "
    "sinusoidal 20.05, rotary 20.07",
    variants=BEYOND.variants,
    measures=BEYOND.measures,
    rule=(
        Lower(a="alibi", b="sinusoidal", expects=0.016),
        Lower(a="alibi", b="rotary", expects=0.017),
    ),
    says=Sayings(
        supported="At the trained length ALiBi reached a lower loss than sinusoidal and rotary positions: {a} minus "
        "{b}, {difference} nats (99 %: {low} to {high}).",
        refuted="At the trained length {b} positions reached a lower loss than ALiBi here: the difference is "
        "{difference} nats (99 %: {low} to {high}).",
        untestable="The published gain, less than 0.02 nats, is less than runs this small can see: {a} minus {b} was "
        "{difference}.",
    ),
    figures=BEYOND.figures,
    budgets=BEYOND.budgets,
)
