"""All that a run's next step depends on, to and from a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from oneblock.runs.checkpoint import Checkpoint
from oneblock.train.average import WeightAverage
from oneblock.train.guard import SpikeGuard
from oneblock.train.horizon import Horizon
from oneblock.train.optimizers import OptimizerSet
from oneblock.train.sharding import load_whole

MODEL = "model."


@dataclass
class Kept:
    """The weights the run keeps: which step's, plain or averaged, and their losses."""

    step: int
    averaged: bool
    selection_loss: float
    val_loss: float


@dataclass
class Count:
    """How far a run is: steps taken, their tokens, seconds of training so far (over all sittings), and what is kept."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    compile_seconds: float = 0.0
    kept: Kept | None = None


@dataclass
class Training:
    """The parts that change while training. Data and randomness are functions of (seed, step), so are not here."""

    model: nn.Module
    optimizer: OptimizerSet
    average: WeightAverage | None
    guard: SpikeGuard
    horizon: Horizon | None = None
    count: Count = field(default_factory=Count)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name, sharded ones as they are: the model's, the optimiser's, the average's."""
        tensors = {MODEL + name: tensor for name, tensor in self.model.state_dict().items()}
        return tensors | self.optimizer.tensors() | (self.average.tensors() if self.average else {})

    def scalars(self) -> dict[str, Any]:
        """Everything else, as JSON."""
        kept = self.count.kept
        return {
            "count": vars(self.count) | {"kept": vars(kept) if kept else None},
            "horizon": self.horizon.to_dict() if self.horizon else None,
            "guard": self.guard.state(),
            "optimizer": self.optimizer.scalars(),
            "average": self.average.scalars() if self.average else None,
        }

    def load(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint, bit for bit; its tensors are whole, whatever is sharded here."""
        state = checkpoint.state
        weights = {k.removeprefix(MODEL): t for k, t in checkpoint.tensors.items() if k.startswith(MODEL)}
        load_whole(self.model, weights)
        self.optimizer.load(checkpoint.tensors, state["optimizer"])
        if self.average is not None:
            self.average.load(checkpoint.tensors, state["average"])
        self.guard.load(state["guard"])
        kept = state["count"]["kept"]
        self.count = Count(**state["count"] | {"kept": Kept(**kept) if kept else None})
        self.horizon = Horizon(**state["horizon"]) if state["horizon"] else None

    def roll_back(self, checkpoint: Checkpoint) -> None:
        """As `load`, but remembering what it goes back from, how far the run is to go, and what it has kept."""
        guard, horizon, kept = self.guard.state(), self.horizon, self.count.kept
        self.load(checkpoint)
        self.guard.load(guard)
        self.horizon, self.count.kept = horizon, kept
