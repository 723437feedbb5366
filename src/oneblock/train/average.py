"""A running average of the weights, which often generalises better than the last weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.config.errors import ConfigError, OneblockError
from oneblock.train.sharding import local, part_of

_PREFIX = "average."
_REMEDY = "resume with the configuration the run was started with"


class WeightAverage:
    """An exponential moving average of all parameters, kept in float32 (float64 for float64 parameters).

    a ← a + (1 - d)·(w - a),  d = min(decay, (1 + n) / (10 + n)) after n updates with `warmup`, else decay.

    Starts as a copy of the weights. Parameters tied together are averaged once; buffers are not averaged. Of sharded
    parameters each process averages its own rows.
    Polyak & Juditsky 1992; the warm-up keeps the random start from lingering in the average.
    """

    def __init__(self, named_parameters: Iterable[tuple[str, Tensor]], decay: float, warmup: bool = True) -> None:
        if not 0.0 <= decay < 1.0:
            raise ConfigError("decay", decay, "must be at least 0 and less than 1")
        self.decay, self.warmup, self.num_updates = decay, warmup, 0
        self._parameters: dict[str, Tensor] = {}
        seen: set[int] = set()
        for name, parameter in named_parameters:
            if id(parameter) not in seen:
                seen.add(id(parameter))
                self._parameters[name] = parameter
        self._average = {name: _wide(p).clone() for name, p in self._parameters.items()}
        self._swapped = False

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the present weights by one step."""
        self._refuse_while_swapped("updated")
        decay = self.decay
        if self.warmup:
            decay = min(decay, (1 + self.num_updates) / (10 + self.num_updates))
        weights = [_wide(local(parameter)) for parameter in self._parameters.values()]
        if weights:
            torch._foreach_lerp_([local(average) for average in self._average.values()], weights, 1.0 - decay)
        self.num_updates += 1

    def tensors(self) -> dict[str, Tensor]:
        """The averages as `average.<parameter>`: live tensors, sharded where the parameters are, to be copied."""
        return {_PREFIX + name: tensor for name, tensor in self._average.items()}

    def scalars(self) -> dict[str, Any]:
        """What besides the tensors is needed to go on; fits into JSON."""
        return {"num_updates": self.num_updates}

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], scalars: Mapping[str, Any]) -> None:
        """Take over what `tensors` and `scalars` gave; keys without the prefix `average.` are left alone."""
        self._refuse_while_swapped("loaded")
        given = {k.removeprefix(_PREFIX): tensor for k, tensor in tensors.items() if k.startswith(_PREFIX)}
        _check_same_names(given, self._average)
        for name, average in self._average.items():
            if given[name].shape != average.shape:
                raise OneblockError(
                    f"average of {name} has shape {tuple(given[name].shape)} in the checkpoint but "
                    f"{tuple(average.shape)} in the model; {_REMEDY}"
                )
        for name, average in self._average.items():
            local(average).copy_(local(part_of(given[name], average)))
        self.num_updates = int(scalars["num_updates"])

    @contextmanager
    def swap(self, model: nn.Module | None = None) -> Iterator[None]:
        """Put the averages in the place of the weights for the length of a `with`; then the weights return.

        Without `model` it is the parameters the average was made from, else those of the same names in
        `model`. The weights come back bit for bit, also after an exception. Copies in place: compiled code
        stays valid.
        """
        self._refuse_while_swapped("swapped in")
        parameters = self._parameters if model is None else dict(model.named_parameters())
        _check_same_names(parameters, self._average)
        kept = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        self._swapped = True
        try:
            _copy(self._average, parameters)
            yield
        finally:
            _copy(kept, parameters)
            self._swapped = False

    def _refuse_while_swapped(self, what: str) -> None:
        # A mistake of the program, not of a user: it would mix the average into itself.
        assert not self._swapped, f"the average cannot be {what} while it stands in for the weights"


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, tensor in target.items():
        local(tensor).copy_(local(source[name]))


def _wide(tensor: Tensor) -> Tensor:
    """The tensor itself, or its float32 form where its own type is narrower."""
    tensor = tensor.detach()
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _check_same_names(given: Iterable[str], wanted: Iterable[str]) -> None:
    missing, extra = sorted(set(wanted) - set(given)), sorted(set(given) - set(wanted))
    if missing or extra:
        raise OneblockError(
            f"averaged weights and model differ: missing {missing[:3]}, not in the model {extra[:3]}; {_REMEDY}"
        )
