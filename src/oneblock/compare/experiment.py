"""What an experiment is: a claim, variants as settings, a rule, and the sentences for each verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SUPPORTED, REFUTED = "supported", "refuted"
INSIDE, UNTESTABLE = "inside the noise", "not testable at this scale"
VERDICTS = (SUPPORTED, REFUTED, INSIDE, UNTESTABLE)


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Something a cell gives for each run. `loss`: a run that diverged counts as having learned nothing."""

    unit: str
    words: str
    loss: bool = False


MEASURES = {
    "val_loss": Measure(unit="nats per token", words="loss on the whole validation split", loss=True),
    "train_loss": Measure(unit="nats per token", words="mean training loss of the last tenth of the steps", loss=True),
    "far_loss": Measure(
        unit="nats per token", words="loss of the last tokens of texts four times the trained length", loss=True
    ),
    "stretch": Measure(unit="nats per token", words="that, less the loss of the same tokens within the trained length"),
    "grad_norm": Measure(unit="", words="largest gradient norm after the first tenth of the steps"),
    "growth": Measure(unit="ln", words="ln of how much larger the stream leaves the blocks than it enters them"),
    "flips": Measure(unit="share", words="share of layers that turn the stream's sign"),
    "gradient": Measure(unit="ln", words="ln of how much larger a gradient comes out below the blocks than it entered"),
    "cache_bytes": Measure(unit="bytes per token", words="keys and values kept for a token, 16 bit"),
    "step_seconds": Measure(unit="s", words="median seconds of a step, on a machine that may have been busy"),
}
"""Every measure by name. `far_loss` and `stretch` only where an experiment asks for them."""


@dataclass(frozen=True, kw_only=True)
class Lower:
    """The measure is lower for `a` than for `b`. `expects`: the size of the difference that the claim states."""

    a: str
    b: str
    measure: str = "val_loss"
    expects: float | None = None


@dataclass(frozen=True, kw_only=True)
class Alike:
    """The measures of `a` and `b` differ by less than `within`."""

    a: str
    b: str
    within: float
    measure: str = "val_loss"

    @property
    def expects(self) -> float:
        """Seeds that could not tell a difference of this size could not show its absence either."""
        return self.within


@dataclass(frozen=True, kw_only=True)
class Above:
    """The measure of `a` is above `bound`."""

    a: str
    bound: float
    measure: str
    expects: float | None = None


@dataclass(frozen=True, kw_only=True)
class Below:
    """The measure of `a` is below `bound`."""

    a: str
    bound: float
    measure: str
    expects: float | None = None


Comparison = Lower | Alike | Above | Below


@dataclass(frozen=True, kw_only=True)
class Sayings:
    """For each verdict the sentence a lesson may quote.

    Fields in braces are filled with the first comparison that decides: {difference}, {low}, {high} (99 % interval),
    {seeds}, {floor}; the difference is the first named variant's less the other's.
    """

    supported: str
    refuted: str
    inside: str = (
        "With {seeds} seeds no difference was shown: {difference} (99 %: {low} to {high}; noise floor {floor})."
    )
    untestable: str = "Runs this small, with {seeds} seeds, cannot see a difference of the size that is claimed."

    def of(self, verdict: str) -> str:
        """The sentence of one verdict, its fields not yet filled."""
        return {
            SUPPORTED: self.supported,
            REFUTED: self.refuted,
            INSIDE: self.inside,
            UNTESTABLE: self.untestable,
        }[verdict]


@dataclass(frozen=True, kw_only=True)
class Budget:
    """How much is run: settings of every variant, seeds, and the learning rates tried, as factors of the recipe's."""

    settings: tuple[str, ...]
    seeds: int = 5
    rates: tuple[float, ...] = (1 / 3, 1.0, 3.0)


_SMALL = ("context=32", "width=32", "num_layers=2", "block.attention.num_heads=2")
_MIDDLE = ("context=64", "width=96", "num_layers=4", "block.attention.num_heads=4")
BUDGETS = {
    "quick": Budget(settings=(*_SMALL, "recipe.steps=250")),
    "standard": Budget(settings=(*_MIDDLE, "recipe.steps=500")),
    "full": Budget(settings=("recipe.steps=3000",), seeds=8),
}
"""quick: at most 4 minutes on two free cores; standard: at most 30; full: the base's own sizes, for a GPU."""


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment, as its file declares it.

    variants:  label -> settings; the first is the one that others are matched to and whose seeds give the noise floor
    equal:     "tokens", "parameters" or "flops" (for each token)
    solve:     what is changed to make them equal: "hidden" (of the feed-forwards) or "width"
    measures:  what the table shows; the rule may name others too
    trains:    False: what is measured is the untrained model
    """

    name: str
    row: str
    claim: str
    source: str
    base: tuple[str, ...] = ()
    preset: str = "nano"
    variants: Mapping[str, tuple[str, ...]]
    equal: str = "tokens"
    solve: str = "hidden"
    tolerance: float = 0.01
    measures: tuple[str, ...] = ("val_loss", "train_loss", "step_seconds")
    rule: tuple[Comparison, ...]
    says: Sayings
    budgets: Mapping[str, Budget] = field(default_factory=lambda: BUDGETS)
    trains: bool = True

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every measure that is shown or judged, in order, once."""
        return tuple(dict.fromkeys((*self.measures, *(comparison.measure for comparison in self.rule))))
