"""E6: two layers against eight, with as many parameters."""

from oneblock.compare.experiment import BUDGETS, Experiment, Lower, Sayings
from oneblock.compare.experiments.budgets import with_steps

EXPERIMENT = Experiment(
    name="layers",
    row="E6",
    claim="Eight layers reach a lower loss than two with as many parameters.",
    source="the course's stacks lesson; Kaplan et al. 2020, figure 5: at equal parameters the shape matters little",
    variants={"8 layers": ("num_layers=8",), "2 layers": ("num_layers=2",)},
    equal="parameters",
    solve="shape",
    measures=("val_loss", "train_loss", "grad_norm", "step_seconds"),
    rule=(Lower(a="8 layers", b="2 layers"),),
    says=Sayings(
        supported="At equal parameters eight layers beat two wider ones: {difference} nats (99 %: {low} to {high}).",
        refuted="At equal parameters two wide layers beat eight narrow ones at this size: eight minus two is "
        "{difference} nats (99 %: {low} to {high}).",
    ),
    budgets=with_steps(BUDGETS, quick=300),
)
