"""Which parameter goes to which optimizer, and several optimizers as one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor

from oneblock.config.errors import ConfigError, OneblockError
from oneblock.train.sharding import is_sharded, part_of

T = TypeVar("T", bound=Tensor)
_PREFIX = "optimizer."
_REMEDY = "resume with the configuration the run was started with, or start a new run"


def decay_groups(
    named_parameters: Iterable[tuple[str, Tensor]],
    weight_decay: float,
    *,
    embeddings: Collection[str | int] = (),
    decay_embeddings: bool = True,
) -> list[dict[str, Any]]:
    """Two parameter groups: matrices with weight decay, everything of one dimension or none without.

    `embeddings` are the token and position tables, by name or `id`; `decay_embeddings` False exempts them.
    Tied parameters are taken once, as an embedding if any of their names is one; frozen ones are left out.
    A group that would be empty is left out, and sharded tensors make groups of their own, for one kernel takes one
    kind. GPT-2's practice decays the tables, OLMo's does not.
    """
    if not weight_decay >= 0:
        raise ConfigError("weight_decay", weight_decay, "must be 0 or more")
    named, tables = _distinct(named_parameters, embeddings)
    decayed: list[tuple[str, Tensor]] = []
    free: list[tuple[str, Tensor]] = []
    for name, parameter in named:
        exempt = parameter.ndim < 2 or (id(parameter) in tables and not decay_embeddings)
        (free if exempt else decayed).append((name, parameter))
    groups = [
        {"params": [(name, p) for name, p in part if is_sharded(p) is sharded], "weight_decay": decay}
        for part, decay in ((decayed, weight_decay), (free, 0.0))
        for sharded in (False, True)
    ]
    return [group for group in groups if group["params"]]


def hidden_matrices(
    named_parameters: Iterable[tuple[str, T]], exclude: Collection[str | int] = ()
) -> tuple[list[tuple[str, T]], list[tuple[str, T]]]:
    """Muon's share and AdamW's: the 2-D matrices not in `exclude` (by name or `id`), and all the rest.

    Exclude the embeddings, the position table and the head: their rows are looked up or compared one by one,
    and orthogonal updates are meant for matrices that map one activation to another.
    """
    named, excluded = _distinct(named_parameters, exclude)
    hidden = [(name, p) for name, p in named if p.ndim == 2 and id(p) not in excluded]
    taken = {id(p) for _, p in hidden}
    return hidden, [(name, p) for name, p in named if id(p) not in taken]


def adamw(
    groups: list[dict[str, Any]],
    lr: float,
    betas: tuple[float, float] = (0.9, 0.95),
    eps: float = 1e-8,
    fused: bool | None = None,
) -> torch.optim.AdamW:
    """torch's AdamW, in its fused form (one pass over memory) where device and type allow it.

    `fused` None: on CPU and CUDA for floating-point parameters. Its result differs from the plain form's
    by rounding, so a run must not change form between its parts. Loshchilov & Hutter 2019.
    """
    if not lr >= 0:
        raise ConfigError("lr", lr, "must be 0 or more")
    if fused is None:
        tensors = [entry[1] if isinstance(entry, tuple) else entry for g in groups for entry in g["params"]]
        fused = all(t.is_floating_point() and t.device.type in ("cpu", "cuda") for t in tensors)
    return torch.optim.AdamW(groups, lr=lr, betas=betas, eps=eps, fused=fused)


class OptimizerSet:
    """One or more torch optimizers that step together and keep their state by parameter name.

    They must have been given named parameters, as `decay_groups` and `hidden_matrices` give them, and share
    none. State is flat: `optimizer.<parameter>.<quantity>`, so a checkpoint does not depend on their order.
    """

    def __init__(self, *optimizers: torch.optim.Optimizer) -> None:
        self.optimizers = optimizers
        self.lr_factor = 1.0
        self._base_lrs = [[float(group["lr"]) for group in o.param_groups] for o in optimizers]
        self._owner: dict[str, tuple[torch.optim.Optimizer, Tensor]] = {}
        seen: set[int] = set()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                assert "param_names" in group, "give the optimizer (name, parameter) pairs"
                for name, parameter in zip(group["param_names"], group["params"], strict=True):
                    assert name not in self._owner and id(parameter) not in seen, f"{name} has two optimizers"
                    self._owner[name] = (optimizer, parameter)
                    seen.add(id(parameter))

    def parameters(self) -> list[Tensor]:
        """All parameters, each once, in the optimizers' order: what clipping is to look at."""
        return [parameter for _, parameter in self._owner.values()]

    def set_lr_factor(self, factor: float) -> None:
        """Set each group's learning rate to `factor` times the one it was made with."""
        self.lr_factor = factor
        for optimizer, base_lrs in zip(self.optimizers, self._base_lrs, strict=True):
            for group, base_lr in zip(optimizer.param_groups, base_lrs, strict=True):
                group["lr"] = base_lr * factor

    def step(self) -> None:
        """One step of every optimizer."""
        for optimizer in self.optimizers:
            optimizer.step()

    def zero_grad(self) -> None:
        """Drop all gradients."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """The state as `optimizer.<parameter>.<quantity>`: live tensors, to be copied by whoever keeps them.

        Step counters are among them, as the 0-d float32 tensors they are; moments are sharded as their parameters.
        A parameter that has never had a gradient has no state yet.
        """
        return {
            f"{_PREFIX}{name}.{quantity}": value
            for name, (optimizer, parameter) in self._owner.items()
            for quantity, value in optimizer.state.get(parameter, {}).items()
        }

    def scalars(self) -> dict[str, Any]:
        """What besides the tensors is needed to go on; fits into JSON."""
        kinds = [type(optimizer).__name__ for optimizer in self.optimizers]
        return {"lr_factor": self.lr_factor, "optimizers": kinds, "num_tensors": len(self.tensors())}

    def load(self, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
        """Go on exactly from what `tensors` and `scalars` gave; other keys in `tensors` are left alone.

        Learning rates, betas and decay stay those of this set. Copies what it takes. Raises OneblockError,
        before anything is changed, if the state is of other optimizers, parameters or shapes, or not whole.
        """
        kinds = self.scalars()["optimizers"]
        if list(scalars["optimizers"]) != kinds:
            given, wanted = " + ".join(scalars["optimizers"]), " + ".join(kinds)
            raise OneblockError(f"the checkpoint's optimizer is {given}, this run's is {wanted}; {_REMEDY}")
        states: dict[str, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith(_PREFIX):
                name, _, quantity = key.removeprefix(_PREFIX).rpartition(".")
                self._check(name, quantity, value)
                states.setdefault(name, {})[quantity] = value
        num_tensors = sum(len(state) for state in states.values())
        if num_tensors != scalars["num_tensors"]:
            raise OneblockError(
                f"the checkpoint has {num_tensors} of the optimizer's {scalars['num_tensors']} tensors; "
                "take an earlier checkpoint"
            )
        for optimizer in self.optimizers:
            plain = optimizer.state_dict()
            names = [name for group in optimizer.param_groups for name in group["param_names"]]
            # Cloned, for torch keeps what it is given where type and device already fit.
            plain["state"] = {
                index: {
                    quantity: part_of(value, self._owner[name][1]).clone() if value.ndim else value.clone()
                    for quantity, value in states[name].items()
                }
                for index, name in enumerate(names)
                if name in states
            }
            optimizer.load_state_dict(plain)
        self.set_lr_factor(float(scalars["lr_factor"]))

    def _check(self, name: str, quantity: str, value: Tensor) -> None:
        if name not in self._owner:
            raise OneblockError(f"the checkpoint's optimizer has {name}, the model has not; {_REMEDY}")
        shape = tuple(self._owner[name][1].shape)
        if value.ndim > 0 and tuple(value.shape) != shape:
            raise OneblockError(
                f"{quantity} of {name} has shape {tuple(value.shape)} in the checkpoint but {shape} in the "
                f"model; {_REMEDY}"
            )


def _distinct(
    named_parameters: Iterable[tuple[str, T]], marked: Collection[str | int]
) -> tuple[list[tuple[str, T]], set[int]]:
    """The trainable parameters, tied ones once under their first name, and the ids of the marked ones."""
    everything = list(named_parameters)
    known = {name for name, _ in everything} | {id(p) for _, p in everything}
    unknown = [mark for mark in marked if mark not in known]
    if unknown:
        raise OneblockError(
            f"no parameter is called {unknown[0]!r}; take names as named_parameters() lists them (a tied one "
            "is listed once) or id(parameter)"
        )
    marked_ids = {id(p) for name, p in everything if name in marked or id(p) in marked}
    distinct: dict[int, tuple[str, T]] = {}
    for name, parameter in everything:
        if parameter.requires_grad:
            distinct.setdefault(id(parameter), (name, parameter))
    return list(distinct.values()), marked_ids
