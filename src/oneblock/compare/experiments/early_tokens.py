"""E10: what ALiBi gains on longer texts, judged naively and with as much before every token."""

from oneblock.compare.experiment import Above, Below, Experiment, Figure, Sayings

EXPERIMENT = Experiment(
    name="early-tokens",
    row="E10",
    claim="What ALiBi gains on texts four times the trained length is that fewer tokens stand early in a window: "
    "judged with as much before every token its loss stays as it is. Sinusoidal positions lose either way.",
    source="Press, Smith and Lewis 2022 (ALiBi), appendix B: with windows that slide ALiBi is flat beyond the trained "
    "length",
    variants={"alibi": ("position=alibi",), "sinusoidal": ("position=sinusoidal",)},
    measures=("val_loss", "naive_change", "fixed_change", "early_cost"),
    rule=(
        Below(a="alibi", bound=0.0, measure="naive_change"),
        Above(a="alibi", bound=-0.02, measure="fixed_change"),
        Below(a="alibi", bound=0.02, measure="fixed_change"),
        Above(a="sinusoidal", bound=0.1, measure="fixed_change"),
    ),
    says=Sayings(
        supported="Judged naively ALiBi's loss falls by {difference} nats on texts four times the trained length; "
        "against windows that slide, which give each token as much before it, it changes by less than 0.02. "
        "With sinusoidal positions it rises.",
        refuted="At this size the claim did not hold: {a} missed its bound by {difference} nats (99 %: {low} to "
        "{high}); what standing early costs a token is in the table.",
    ),
    figures=(Figure(title="Beyond the trained length", curves=("loss by position",)),),
)
