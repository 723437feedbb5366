"""What an experiment is: a claim, variants as settings, a rule, and the sentences for each verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from oneblock.compare.catalogue import CURVES, MEASURES
from oneblock.config.config import Config

SUPPORTED, REFUTED = "supported", "refuted"
INSIDE, UNTESTABLE = "inside the noise", "not testable at this scale"
VERDICTS = (SUPPORTED, REFUTED, INSIDE, UNTESTABLE)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Lines of a report, one for each variant and curve. `curves`: names of the catalogue, on one pair of axes.

    toys: factors; for each the line of a stack that only multiplies by it, from where the first variant's begins
    """

    title: str
    curves: tuple[str, ...]
    toys: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Against:
    """A dot of a report for each run: the measure `y` over the measure `x`, both among the experiment's."""

    title: str
    x: str
    y: str

    @property
    def curves(self) -> tuple[str, ...]:
        """None: it is drawn of measures."""
        return ()


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


_JUDGED = "{difference} (99 %: {low} to {high}; noise floor {floor}; p {p}, corrected for {comparisons})."
NOT_SHOWN = "With {seeds} seeds no difference was shown: " + _JUDGED
NOT_SETTLED = "Whether {a} and {b} lie within {within} of each other was not settled by {seeds} seeds: " + _JUDGED


@dataclass(frozen=True, kw_only=True)
class Sayings:
    """For each verdict the sentence a lesson may quote.

    Fields in braces are filled with the first comparison that decides: {difference}, {low}, {high} (99 % interval),
    {seeds}, {floor}, {p}, {comparisons}; the difference is the first named variant's less the other's.
    """

    supported: str
    refuted: str
    inside: str = NOT_SHOWN
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
    """How much is run: settings of every variant, seeds, and the learning rates tried, as factors of the recipe's.

    own: label -> settings of that variant in this budget alone, after those that it always has
    """

    settings: tuple[str, ...]
    seeds: int = 5
    rates: tuple[float, ...] = (1 / 3, 1.0, 3.0)
    own: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_SMALL = ("context=32", "width=32", "num_layers=2", "block.attention.num_heads=2")
_MIDDLE = ("context=64", "width=96", "num_layers=4", "block.attention.num_heads=4")
BUDGETS = {
    "quick": Budget(settings=(*_SMALL, "recipe.steps=400", "recipe.batch_size=32")),
    "standard": Budget(settings=(*_MIDDLE, "recipe.steps=500")),
    "full": Budget(settings=("recipe.steps=3000",), seeds=8),
}
"""quick: at most 4 minutes on two free cores; standard: at most 30; full: the base's own sizes, for a GPU."""
FAULT = "fault="
"""What a setting begins with that names a fault, not a path of the configuration."""
SMOKE = "smoke"
"""The budget that every experiment has besides: seconds, to see that all its parts work. Its verdicts mean nothing."""


def fault_of(settings: Sequence[str]) -> str:
    """The fault that is named among a variant's settings; "" is none."""
    return "".join(setting.removeprefix(FAULT) for setting in settings if setting.startswith(FAULT))


def smoke(budget: Budget, *settings: str) -> Budget:
    """A budget made as small as it runs: two seeds, one rate, four steps."""
    return replace(budget, settings=(*budget.settings, *settings), seeds=2, rates=(1.0,))


_BRIEF = ("width=16", "recipe.batch_size=4", "recipe.steps=4", "recipe.schedule.warmup=1")
TEXT_SMOKE, TASK_SMOKE = (*_BRIEF, "context=8", "num_layers=2"), (*_BRIEF, "recipe.data=reversal-5")


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One experiment, as its file declares it.

    starts:    whole configurations that the variants start from, label -> configuration, of different kinds too; then
               the task goes from sequence to sequence (`compare.reversal`), not a text; `preset` is not read
    variants:  label -> settings; the first is the one that others are matched to and whose seeds give the noise floor
               (`fault=NAME` among them plants a fault of `compare.faults`)
    equal:     "tokens", "parameters", "flops" (for each token) or "time" (of training, by `compare.timing`)
    solve:     what is changed to make them equal: "hidden" (of the feed-forwards), "width", or "shape": the width, and
               then the feed-forwards for what is left
    measures:  what the table shows; the rule may name others too
    figures:   what is drawn besides the losses
    trains:    False: what is measured is the untrained model
    decides:   the quick budget must reach a verdict, one way or the other
    """

    name: str
    row: str
    claim: str
    source: str
    base: tuple[str, ...] = ()
    preset: str = "nano"
    starts: Mapping[str, Config] = field(default_factory=dict)
    variants: Mapping[str, tuple[str, ...]]
    equal: str = "tokens"
    solve: str = "hidden"
    tolerance: float = 0.01
    measures: tuple[str, ...] = ("val_loss", "train_loss", "step_seconds")
    rule: tuple[Comparison, ...]
    says: Sayings
    figures: tuple[Figure | Against, ...] = ()
    budgets: Mapping[str, Budget] = field(default_factory=lambda: BUDGETS)
    trains: bool = True
    decides: bool = False

    def budget(self, name: str) -> Budget:
        """The budget of that name; `smoke` is made of quick."""
        if name == SMOKE:
            return smoke(self.budgets["quick"], *(TASK_SMOKE if self.starts else TEXT_SMOKE))
        return self.budgets[name]

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every measure that is shown or judged, in order, once."""
        return tuple(dict.fromkeys((*self.measures, *(comparison.measure for comparison in self.rule))))

    @property
    def asked(self) -> tuple[str, ...]:
        """The probes that give what is shown, judged or drawn, by name."""
        probes = {MEASURES[name].by for name in self.wanted}
        probes |= {CURVES[name].by for figure in self.figures for name in figure.curves}
        return tuple(sorted(probes - {""}))
