"""E15: the weight α of the balancing loss, from 0.1 down to 0.00001."""

from oneblock.compare.experiment import BUDGETS, Against, Alike, Below, Experiment, Figure, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps
from oneblock.compare.experiments.experts import QUALITY, SWITCH

WEIGHTS = ("0.01", "0.1", "0.001", "0.0001", "0.00001")

EXPERIMENT = Experiment(
    name="balance",
    row="E15",
    claim="A weight of α = 0.01 on the balancing loss is large enough to share the tokens out and small enough to "
    "leave the loss alone, within 0.05 nats of α = 0.00001.",
    source="Fedus et al. 2022, section 2.2: a sweep of α from 10⁻¹ to 10⁻⁵, of which 10⁻² is taken",
    variants={f"α = {weight}": (*SWITCH, f"block.feed_forward.auxiliary_weight={weight}") for weight in WEIGHTS},
    measures=("val_loss", "train_loss", "imbalance", "dropped", "step_seconds"),
    rule=(
        Lower(a="α = 0.01", b="α = 0.00001", measure="imbalance"),
        Below(a="α = 0.01", bound=2.0, measure="imbalance"),
        Alike(a="α = 0.01", b="α = 0.00001", within=0.05),
    ),
    says=Sayings(
        supported="With α = 0.01 the fullest expert has less than twice its share, with α = 0.00001 more; the loss is "
        "the same within 0.05 nats.",
        refuted="At this size the claim did not hold: {a}, {difference} (99 %: {low} to {high}).",
        untestable="Runs this small cannot tell 0.05 nats: {a} minus {b} was {difference} (99 %: {low} to {high}).",
    ),
    figures=(
        Figure(title="Tokens for each expert", curves=("tokens by expert",)),
        Against(title="What balance costs", x="imbalance", y="val_loss"),
        *QUALITY,
    ),
    budgets=with_steps(BUDGETS, quick=150, standard=200),
)
