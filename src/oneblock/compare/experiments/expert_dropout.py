"""E15: more dropout inside the experts than elsewhere."""

from oneblock.compare.experiment import BUDGETS, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps
from oneblock.compare.experiments.experts import SWITCH


def dropout(elsewhere: float, in_experts: float) -> tuple[str, ...]:
    """On what every step adds, and on an expert's inner activation."""
    return (f"block.dropout={elsewhere}", f"block.feed_forward.expert.dropout={in_experts}")


EXPERIMENT = Experiment(
    name="expert-dropout",
    row="E15",
    claim="Dropout of 0.1, and of 0.4 inside the experts, reaches a lower loss than 0.1 everywhere and than 0.3 "
    "everywhere.",
    source="Fedus et al. 2022, table 4, fine-tuning on small tasks: GLUE 85.2 against 84.7 and 83.9. Here the training "
    "is from scratch and sees its text less than once, where there is little to overfit",
    base=SWITCH,
    variants={
        "0.1, in experts 0.4": dropout(0.1, 0.4),
        "0.1": dropout(0.1, 0.1),
        "0.3": dropout(0.3, 0.3),
    },
    measures=("val_loss", "train_loss", "imbalance", "step_seconds"),
    rule=(
        Lower(a="0.1, in experts 0.4", b="0.1"),
        Lower(a="0.1, in experts 0.4", b="0.3"),
    ),
    says=Sayings(
        supported="More dropout inside the experts helped: {a} minus {b}, {difference} nats (99 %: {low} to {high}).",
        refuted="Trained from scratch, more dropout inside the experts did not help: {a} minus {b} is {difference} "
        "nats (99 %: {low} to {high}).",
    ),
    budgets=with_steps(BUDGETS, quick=200, standard=250),
)
