"""E10: positions, beyond the trained length."""

from oneblock.compare.experiment import BUDGETS, Experiment, Figure, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps

EXPERIMENT = Experiment(
    name="positions",
    row="E10",
    claim="On texts four times the trained length ALiBi keeps its loss; rotary and sinusoidal positions do not.",
    source="Press, Smith and Lewis 2022 (ALiBi): perplexity at 512 and 3512, ALiBi 19.73, 18.40; rotary 20.07, 35.54",
    variants={
        "alibi": ("position=alibi",),
        "rotary": ("position=rope",),
        "sinusoidal": ("position=sinusoidal",),
        "t5": ("position=t5",),
        "none": ("position=none",),
    },
    measures=("val_loss", "near_loss", "far_loss", "stretch", "naive_stretch"),
    rule=(
        Lower(a="alibi", b="rotary", measure="stretch"),
        Lower(a="alibi", b="sinusoidal", measure="stretch"),
    ),
    says=Sayings(
        supported="Beyond the trained length ALiBi loses less than rotary and sinusoidal positions: against {b} "
        "{difference} nats on the same tokens (99 %: {low} to {high}).",
        refuted="Beyond the trained length {b} lost less than ALiBi here ({difference} nats).",
    ),
    figures=(Figure(title="Beyond the trained length", curves=("loss by position",)),),
    budgets=with_steps(BUDGETS, standard=300),
)
