"""Comparisons of a person's own: one setting varied, or whole configurations from files."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from oneblock.compare.experiment import BUDGETS, SMOKE, TEXT_SMOKE, Budget, Experiment, Lower, Sayings, smoke
from oneblock.config.config import Config
from oneblock.config.errors import ConfigError, OneblockError
from oneblock.config.serial import config_from_dict, diff

SAYS = Sayings(
    supported="{a} reached a lower loss than all others: less that of {b}, {difference} (99 %: {low} to {high}).",
    refuted="{b} reached a lower loss than {a}: the difference is {difference} (99 %: {low} to {high}).",
)


def vary(setting: str, base: str, equal: str = "tokens") -> Experiment:
    """`block.placement=pre,post,peri`: a variant for each value; the claim is that the first is the best."""
    path, equals, text = setting.partition("=")
    values = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not equals or len(values) < 2:
        raise OneblockError(
            f"--vary {setting}: give a setting and two or more values, such as --vary block.placement=pre,post,peri"
        )
    return _own(
        "vary-" + "-".join([path.strip().replace(".", "-"), *values]),
        {value: (f"{path.strip()}={value}",) for value in values},
        preset=base,
        equal=equal,
        source=f"--vary {setting} --base {base}",
    )


def from_files(paths: Sequence[Path], equal: str = "tokens") -> tuple[Experiment, dict[str, Config]]:
    """A variant for each file: a configuration as `config.json` of a run holds it. Also the configurations."""
    configs: dict[str, Config] = {}
    for path in paths:
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise OneblockError(f"--variants {path}: cannot be read ({error.strerror or error})") from None
        except ValueError as error:
            raise OneblockError(f"--variants {path}: is not JSON ({error})") from None
        try:
            config = config_from_dict(data)
        except ConfigError as error:
            raise OneblockError(f"--variants {path}: {error}") from None
        label = path.stem if path.stem not in configs else str(path)
        if config in configs.values():
            raise OneblockError(f"--variants {path}: says the same as a file before it; there is nothing to compare")
        configs[label] = config
    if len(configs) < 2:
        raise OneblockError("--variants needs two or more files, such as --variants a.json b.json")
    (first, reference), *others = configs.items()
    settings = {first: ()} | {
        label: tuple(f"{path}={json.dumps(new)}" for path, (_, new) in diff(reference, config).items())
        for label, config in others
    }
    experiment = _own(
        "-against-".join(configs),
        settings,
        preset=reference.name,
        equal=equal,
        source=" ".join(["--variants", *map(str, paths)]),
    )
    return experiment, configs


def at_equal_time(experiment: Experiment) -> Experiment:
    """An experiment of the list with training time held equal, instead of what it says; it has another name."""
    return replace(experiment, name=f"{experiment.name}-at-equal-time", equal="time")


def budget_of_files(name: str) -> Budget:
    """Of a budget what is not a size: the files say how large the models are."""
    budget = smoke(BUDGETS["quick"], *TEXT_SMOKE) if name == SMOKE else BUDGETS[name]
    return replace(budget, settings=tuple(word for word in budget.settings if word.startswith("recipe.")))


def _own(name: str, variants: dict[str, tuple[str, ...]], *, preset: str, equal: str, source: str) -> Experiment:
    first, *others = variants
    return Experiment(
        # It becomes the name of a folder.
        name=re.sub(r"[^\w.+-]+", "-", name)[:100],
        row="",
        claim=f"{first} reaches a lower loss than {', '.join(others)}.",
        source=source,
        preset=preset,
        variants=variants,
        equal=equal,
        measures=("val_loss", "train_loss", "grad_norm", "growth", "cache_bytes", "step_seconds"),
        rule=tuple(Lower(a=first, b=other) for other in others),
        says=SAYS,
    )
