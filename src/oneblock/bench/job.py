"""What is measured (`Job`), and one way of doing it (`Arm`): plain data that a worker process is sent."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.errors import OneblockError
from oneblock.config.override import override
from oneblock.config.presets import PRESETS
from oneblock.config.serial import config_from_dict, to_dict

TRAIN, GENERATE = "train", "generate"
OURS = "oneblock"


class BenchError(OneblockError):
    """A comparison that cannot be made: what was asked, why it fails, what to do."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """The work, the same for every arm.

    batch:       sequences in a step; their length is the configuration's context
    prompt, new: tokens read, and tokens then made; `generate` only
    threads:     None: torch's own choice
    path:        folder of the nanoGPT checkout, where that is a rival
    """

    kind: str
    config: Config
    batch: int
    prompt: int = 32
    new: int = 200
    threads: int | None = None
    device: str = "auto"
    seed: int = 0
    path: str | None = None

    def of(self, rival: str) -> Job:
        """The same work, by the same recipe, with the model of the preset that is the rival."""
        if rival not in PRESETS:
            return self
        other = without_chance(PRESETS[rival]())
        shape = (f"context={self.model.context}", f"vocab_size={self.model.vocab_size}")
        return replace(self, config=replace(override(other, *shape), recipe=self.config.recipe))

    @property
    def model(self) -> Decoder:
        """The model's configuration; BenchError for one that is no decoder: no peer is raced with another kind."""
        model = self.config.model
        if not isinstance(model, Decoder):
            raise BenchError(
                f"bench races decoders, and {self.config.name} is of the kind {type(model).__name__}; "
                "take --preset nano, gpt2, llama-nano or another decoder"
            )
        return model

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        plain = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        return plain | {"config": to_dict(self.config)}


def job_from_dict(data: dict[str, Any]) -> Job:
    """The job that `to_dict` gave."""
    return Job(**(data | {"config": config_from_dict(data["config"])}))


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way for one rival (or us) to do the job.

    precision: float32; autocast: float32 weights under bfloat16 autocast; bfloat16: weights too;
               compute: as `oneblock train` computes on this machine; int8: weights of 8 bits, the rest in bfloat16
    default:   this is the rival as it comes
    options:   what else its worker is to do
    """

    rival: str
    name: str
    precision: str = "float32"
    compile: bool = False
    default: bool = False
    options: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As JSON; `Arm(**…)` reads it."""
        return asdict(self)


CHANCE = {"dropout": 0.0, "embedding_dropout": 0.0, "jitter": 0.0, "random_second": False}
"""What is random in training, and how it is when nothing is."""


def without_chance(config: Config) -> Config:
    """The configuration with nothing random in a step: it would be a race of random numbers."""

    def still(node: Any) -> Any:
        if isinstance(node, list):
            return [still(part) for part in node]
        if not isinstance(node, dict):
            return node
        return {k: CHANCE[k] if k in CHANCE and value is not None else still(value) for k, value in node.items()}

    return config_from_dict(to_dict(config) | {"model": still(to_dict(config)["model"])})
