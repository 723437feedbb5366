"""`Task`: what the training loop asks of an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from oneblock.config.config import Config
from oneblock.runs.errors import RunError
from oneblock.runs.folder import Run

Arrays = tuple[npt.NDArray[Any], ...]
Forward = Callable[..., Tensor]
SPLITS = ("train", "selection", "validation")


class Task(ABC):
    """Batches, their loss, and how good a model is; every batch a pure function of (seed, step).

    name, origin, sha256: the data's. files: what of it a run keeps beside its weights, name -> JSON.
    """

    name: str
    origin: str
    sha256: str
    files: dict[str, Any]
    measure_names: ClassVar[tuple[str, ...]] = ()
    """What `measures` gives besides the loss."""
    has_perplexity: ClassVar[bool] = True
    """Whether the loss is nats for each of something, so that e to its power means something."""

    @classmethod
    @abstractmethod
    def begin(cls, config: Config) -> tuple[Config, Self]:
        """Read the data a recipe names; the configuration with what the data decides (its vocabulary)."""

    @classmethod
    @abstractmethod
    def reopen(cls, config: Config, run: Run) -> Self:
        """The same for a run that was begun, read with the run's own files. RunError where the data has changed."""

    @property
    @abstractmethod
    def tokens_a_step(self) -> int:
        """Positions a step computes."""

    @abstractmethod
    def size(self, split: str) -> int:
        """How many targets a split has; its evaluation takes time in proportion."""

    @abstractmethod
    def batch(self, step: int, seed: int, whole: bool) -> Arrays:
        """The arrays of a step, examples along the first axis. `whole`: the held-out end may be drawn from too."""

    @abstractmethod
    def loss(self, forward: Forward, *batch: Tensor) -> Tensor:
        """The mean loss over the batch's targets. `forward` is the model in the recipe's precision."""

    def num_targets(self, *batch: Tensor) -> int:
        """The targets that mean is over."""
        return batch[1].numel()

    @abstractmethod
    def loss_on(self, model: nn.Module, split: str, precision: torch.dtype) -> float:
        """The mean loss over a whole split (of the training split, as much as the validation split has)."""

    def measures_cost(self) -> float:
        """About how many steps' time `measures` takes, for a run of so many minutes to end in time."""
        return 0.0

    def measures(self, model: nn.Module) -> dict[str, float]:
        """What else says how good a trained model is, on the whole validation split."""
        return {}

    def try_it(self, run: Run) -> str:
        """The command that shows a person what the model can do."""
        return f"oneblock generate {run.path}"

    @abstractmethod
    def sample(self, model: nn.Module) -> str:
        """Something the model makes, for a person to look at; always from the same seed."""


def check_unchanged(run: Run, now: str, origin: str) -> None:
    """RunError where the data's SHA-256 is not what it was when the run began."""
    before = run.read_json("data.json")["sha256"]
    if now != before:
        raise RunError(
            f"the data has changed since the run began (SHA-256 {before[:12]}… then, {now[:12]}… now: "
            f"{origin}); bring back what it was, or start a new run"
        )


def on_device(arrays: Arrays, device: torch.device) -> tuple[Tensor, ...]:
    """The arrays as tensors."""
    whole = (np.require(array, requirements=["C", "W"]) for array in arrays)
    return tuple(torch.from_numpy(array).to(device, non_blocking=True) for array in whole)
