"""From an experiment and a budget to what will be run: every configuration, matched in size. Loads no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from oneblock.compare import fits
from oneblock.compare.experiment import FAULT, Budget, Experiment, fault_of
from oneblock.compare.matching import COUNTS, matched, size
from oneblock.compare.reversal import Reversal, named
from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.errors import ConfigError, OneblockError
from oneblock.config.override import override
from oneblock.config.presets import preset
from oneblock.config.recipe import Muon, Optimizer
from oneblock.config.serial import diff
from oneblock.data.corpus import prepare
from oneblock.inspect.statistics import cache_bytes_per_token, flops_per_token, parameters

JUDGED = ("recipe.guard=false", "recipe.refit=0")
"""No spike is hidden, and the held-out end of the training split stays held out: learning rates are chosen on it."""
PLAIN = (*JUDGED, "recipe.average=none", "recipe.compile=off", "recipe.precision=float32")
TRAINING = (
    *PLAIN,
    "recipe.optimizer=adamw",
    "recipe.optimizer.learning_rate=0.012",
    "recipe.schedule.warmup=20",
    "block.dropout=0",
    "embedding_dropout=0",
    "init=fan_in",
)
"""How an experiment trains unless it says otherwise: nothing that hides a difference, nothing that waits to pay.

Matrices start with 1/√fan-in: the usual 0.02 is a quarter of that at widths this small, and short trainings then end on
the plateau of counting single tokens, some seeds past it and some not.
"""
SAME = ("context", "vocab_size", "recipe.data", "recipe.tokenizer", "recipe.batch_size", "recipe.steps", "recipe.seed")


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One variant ready to run. `solved`: the size that was found for it, in words; `fault`: what is planted in it."""

    label: str
    config: Config
    settings: tuple[str, ...]
    solved: str
    parameters: int
    flops: int
    cache_bytes: int
    fault: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What will be run. `nothing_learned`: a uniform guess's loss, ln V; `data_sha256` empty where nothing is read.

    warnings: what will be seen less well than one might think
    trial: seconds of a step by label, where time is held equal and has been measured
    """

    experiment: Experiment
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    rates: tuple[float, ...]
    data_sha256: str
    origin: str
    nothing_learned: float
    warnings: tuple[str, ...] = ()
    trial: Mapping[str, float] = field(default_factory=dict)

    @property
    def labels(self) -> tuple[str, ...]:
        """The variants' names, the reference first."""
        return tuple(variant.label for variant in self.variants)


def plan(
    experiment: Experiment,
    budget: Budget,
    *,
    settings: Sequence[str] = (),
    seeds: int | None = None,
    first_seed: int = 0,
    given: Mapping[str, Config] | None = None,
) -> Plan:
    """Everything decided before a training begins; OneblockError where it cannot be a fair comparison.

    given: whole configurations by label, instead of the experiment's base and its variants' settings.
    """
    number = budget.seeds if seeds is None else seeds
    if number < 2:
        raise OneblockError(f"--seeds {number}: what another seed changes cannot be measured; give 2 or more (try 5)")
    if experiment.starts:
        configs = _started(experiment, budget, settings)
    else:
        configs = _given(given, budget, settings) if given else _declared(experiment, budget, settings)
    configs, read = _fitted(experiment, configs)
    _check_same(configs)
    fits.check(experiment, configs)
    sized = _matched(experiment, configs)
    return Plan(
        experiment=experiment,
        variants=tuple(
            _described(label, sized[label], config, _own(experiment, budget)[label])
            for label, config in configs.items()
        ),
        seeds=tuple(range(first_seed, first_seed + number)),
        rates=budget.rates if experiment.trains else (1.0,),
        data_sha256=read.sha256,
        origin=read.origin,
        nothing_learned=math.log(read.vocab_size),
        warnings=fits.warnings(experiment, configs) if experiment.trains else (),
    )


class _Read(NamedTuple):
    """What is known of the data."""

    sha256: str
    origin: str
    vocab_size: int


def _fitted(experiment: Experiment, configs: dict[str, Config]) -> tuple[dict[str, Config], _Read]:
    """The configurations with what the data decides: a vocabulary, and of a task its lengths."""
    base = next(iter(configs.values()))
    if experiment.starts:
        task = _task(base.recipe.data)
        fitted = {label: task.fitted(config) for label, config in configs.items()}
        return fitted, _Read(task.sha256, task.words, task.vocab_size)
    if not experiment.trains:
        return configs, _Read("", "none: the models are not trained", _vocabulary(base))
    corpus = prepare(base.recipe.data, base.recipe.tokenizer)
    corpus.check(base.model.context)
    vocab = corpus.tokenizer.vocab_size
    fitted = {label: override(config, f"vocab_size={vocab}") for label, config in configs.items()}
    return fitted, _Read(corpus.sha256, corpus.origin, vocab)


def _task(data: str) -> Reversal:
    if task := named(data):
        return task
    raise OneblockError(
        f"recipe.data={data}: this experiment's task goes from sequence to sequence and is made, not read; give "
        "recipe.data=reversal-N with N symbols in the longest row, 2 or more"
    )


def _declared(experiment: Experiment, budget: Budget, settings: Sequence[str]) -> dict[str, Config]:
    training = TRAINING if experiment.trains else ()
    base = override(
        _decoder(experiment.preset, preset(experiment.preset)), *training, *budget.settings, *experiment.base, *settings
    )
    return {label: _variant(base, label, own) for label, own in _own(experiment, budget).items()}


def _own(experiment: Experiment, budget: Budget) -> dict[str, tuple[str, ...]]:
    """What each variant sets beside the rest: at any budget, and at this one."""
    return {label: (*own, *budget.own.get(label, ())) for label, own in experiment.variants.items()}


def _started(experiment: Experiment, budget: Budget, settings: Sequence[str]) -> dict[str, Config]:
    """Whole configurations of different kinds: what is set for all of them is what all of them have."""
    return {
        label: _variant(experiment.starts[label], label, (*PLAIN, *budget.settings, *experiment.base, *settings, *own))
        for label, own in _own(experiment, budget).items()
    }


def _given(given: Mapping[str, Config], budget: Budget, settings: Sequence[str]) -> dict[str, Config]:
    return {
        label: _variant(_decoder(label, of), label, (*JUDGED, *budget.settings, *settings))
        for label, of in given.items()
    }


def with_rate(config: Config, factor: float) -> Config:
    """The configuration with its learning rates times `factor`."""
    optimizer = config.recipe.optimizer
    rate = optimizer.learning_rate * factor
    scaled: Optimizer
    if isinstance(optimizer, Muon):
        rest = replace(optimizer.rest, learning_rate=optimizer.rest.learning_rate * factor)
        scaled = replace(optimizer, learning_rate=rate, rest=rest)
    else:
        scaled = replace(optimizer, learning_rate=rate)
    return replace(config, recipe=replace(config.recipe, optimizer=scaled))


def _decoder(label: str, config: Config) -> Config:
    if not isinstance(config.model, Decoder):
        raise OneblockError(f"{label}: a {type(config.model).__name__}; comparisons are of decoders on text so far")
    return config


def _variant(base: Config, label: str, settings: Sequence[str]) -> Config:
    try:
        return override(base, *(setting for setting in settings if not setting.startswith(FAULT)))
    except ConfigError as error:
        raise OneblockError(f"the variant {label} ({', '.join(settings)}) is not valid: {error}") from None


def _vocabulary(config: Config) -> int:
    assert isinstance(config.model, Decoder)
    return config.model.vocab_size


def _check_same(configs: dict[str, Config]) -> None:
    """Variants that see other tokens, or not in the same order, cannot be paired."""
    (first, reference), *others = configs.items()
    for label, config in others:
        # Models of different kinds have no paths in common, and are fitted to the same task.
        alike = config if type(config.model) is type(reference.model) else _with_recipe_of(config, reference)
        changed = [path.removeprefix("model.") for path in diff(reference, alike)]
        wrong = [path for path in changed if path in SAME]
        if wrong:
            raise OneblockError(
                f"{first} and {label} differ in {', '.join(wrong)}: they would not see the same tokens in the same "
                "order; set that for all variants with --set"
            )


def _with_recipe_of(config: Config, reference: Config) -> Config:
    return replace(reference, recipe=replace(config.recipe, objective=reference.recipe.objective))


def _matched(experiment: Experiment, configs: dict[str, Config]) -> dict[str, Config]:
    if experiment.equal == "time" and not experiment.trains:
        raise OneblockError(f"equal=time: {experiment.name} trains nothing, so there is no training time to hold equal")
    if experiment.equal in ("tokens", "time"):
        return configs
    if experiment.equal not in COUNTS:
        raise OneblockError(f"equal={experiment.equal} is not one of tokens, {', '.join(COUNTS)}, time")
    target = size(next(iter(configs.values())), experiment.equal)
    made = {}
    for label, config in configs.items():
        try:
            made[label] = matched(
                config, target, equal=experiment.equal, solve=experiment.solve, tolerance=experiment.tolerance
            )
        except OneblockError as error:
            raise OneblockError(f"the variant {label} {error}") from None
    return made


def _described(label: str, config: Config, before: Config, settings: tuple[str, ...]) -> Variant:
    changes = {path.rpartition(".")[2]: new for path, (_, new) in diff(before, config).items()}
    return Variant(
        label=label,
        config=config,
        settings=settings,
        solved=", ".join(f"{name}={value}" for name, value in changes.items()),
        parameters=sum(parameters(config).values()),
        flops=flops_per_token(config),
        cache_bytes=cache_bytes_per_token(config),
        fault=fault_of(settings),
    )
