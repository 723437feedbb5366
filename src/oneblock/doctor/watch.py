"""`watch(model, every=100)`: the doctor in anyone's training loop. Between two looks nothing of it is in the model.

A look costs one forward pass of one row of the batch, and a norm for each parameter on the way back.
"""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.doctor.alarms import Alarms
from oneblock.doctor.calling import Calling
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.layers import blocks
from oneblock.doctor.look import Seen, Watch
from oneblock.doctor.target import Target
from oneblock.doctor.wrapping import unwrapped

ROWS, TOKENS, SAMPLED = 1, 256, 1 << 12
"""Of the batch as it was given, what is run once more; numbers of each parameter whose movement is measured."""


def watch(
    model: nn.Module,
    *,
    every: int = 100,
    log: str | Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> Watching:
    """Look at a model while it trains: `with watch(model) as w:`, and `w.step(loss)` once after each optimiser step.

    Each look is one entry of `records`, and of `log` (JSON lines, which `oneblock doctor --log` reads). What is wrong
    is told once, by `tell` or else as a warning of Python, and kept in `alarms`. Lists have an entry for each layer:

    stream:     root mean square where the blocks begin, and after each
    max_logit, entropy: of each attention: largest score in sight; entropy of its weights as a share of uniform ones'
    grad_norms, updates: of each block, last of all that is outside: gradient before clipping (`grad_norm`: of all),
                and ‖Δw‖ / ‖w‖ of the step (from the second look on)

    DoctorError for `every` below 1, and for what is no module.
    """
    if every < 1:
        raise DoctorError(f"every={every}: looks come every 1 step or more")
    inner, _ = unwrapped(model)
    if not isinstance(inner, nn.Module):
        raise DoctorError(f"watch needs a torch module, and this is a {type(inner).__name__}")
    return Watching(model, inner, every, Path(log) if log else None, tell or _warn)


class Watching:
    """What `watch` gives; `close()`, or the end of a `with`, takes every hook out."""

    def __init__(
        self, called: nn.Module, model: nn.Module, every: int, log: Path | None, tell: Callable[[str], None]
    ) -> None:
        # What is called may be a wrapper (compiled, DDP), whose own hooks run outside of what is compiled.
        self.called = called
        self.model, self.every, self.log, self.tell = model, every, log, tell
        self.count, self.closed, self.alarms = 0, False, Alarms()
        self.records: list[dict[str, Any]] = []
        self._groups: list[list[nn.Parameter]] = []
        self._hooks: list[Any] = []
        self._call: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self._squares: dict[int, Tensor] = {}
        self._before: list[Tensor] = []
        if every == 1:
            self._arm()

    def __enter__(self) -> Watching:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def step(self, loss: float | Tensor | None = None) -> dict[str, Any] | None:
        """To be called once after each step of the optimiser; gives the record where this step was looked at."""
        if self.closed:
            raise DoctorError("this watch is closed; make another one")
        self.count += 1
        found = self._look(loss) if self._hooks and self.count % self.every == 0 else None
        if (self.count + 1) % self.every == 0:
            self._arm()
        return found

    def close(self) -> None:
        """Take out what is in the model; records stay."""
        self._disarm()
        self.closed = True

    def _arm(self) -> None:
        """For the step that comes: keep what the model is called with, its gradients' norms, and its weights."""
        self._disarm()
        self._hooks.append(self.called.register_forward_pre_hook(self._note_call, with_kwargs=True))
        trained = [p for p in self.model.parameters() if p.requires_grad and p.is_floating_point()]
        self._hooks += [p.register_post_accumulate_grad_hook(self._note_gradient) for p in trained]
        self._before = [_sample(group) for group in self._groups]

    def _disarm(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._call, self._squares, self._before = [], None, {}, []

    def _note_call(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        # Detached, and cut here: a reference would keep the whole batch and its graph alive.
        if self._call is None:
            size = _size(args, kwargs)
            self._call = (tuple(_cut(v, *size) for v in args), {k: _cut(v, *size) for k, v in kwargs.items()})

    def _note_gradient(self, p: Tensor) -> None:
        # Called again for each small batch of an accumulation: the last call has met the sum of them.
        if p.grad is not None:
            self._squares[id(p)] = p.grad.detach().float().square().sum()

    def _look(self, loss: float | Tensor | None) -> dict[str, Any]:
        record: dict[str, Any] = {"step": self.count}
        if loss is not None:
            record["loss"] = float(loss.detach() if isinstance(loss, Tensor) else loss)
        if self._call is not None:
            record |= self._flow(*self._call)
        if self._groups and self._squares:
            zero = torch.zeros(())
            sums = [sum((self._squares.get(id(p), zero).cpu() for p in group), zero) for group in self._groups]
            record["grad_norms"] = [math.sqrt(float(each)) for each in sums]
        if self._squares:
            record["grad_norm"] = math.sqrt(sum(map(float, self._squares.values())))
        if self._before:
            after = [_sample(group) for group in self._groups]
            pairs = zip(self._before, after, strict=True)
            record["updates"] = [float((new - old).norm() / old.norm().clamp(min=1e-12)) for old, new in pairs]
        self._disarm()
        self.records.append(record)
        if self.log is not None:
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({key: _plain(value) for key, value in record.items()}) + "\n")
        for words in self.alarms.of(record, self.records):
            self.tell(f"step {self.count}: {words}")
        return record

    def _flow(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """One row once more, in eval mode, without gradients: stream, largest scores, entropies."""
        target = Target(name="watched", thing=_Again(self.model, args, kwargs), calling=Calling())
        with _undisturbed(self.model), Watch() as seen:
            try:
                calls = blocks(target, torch.zeros(1))
            except Exception as error:
                return {"not_seen": f"{type(error).__name__}: {error}"}
        if calls and not self._groups:
            inside = [list(block.parameters()) for block in {id(each.block): each.block for each in calls}.values()]
            known = {id(p) for group in inside for p in group}
            self._groups = [*inside, [p for p in self.model.parameters() if id(p) not in known]]
        found: dict[str, Any] = {}
        if calls:
            found["stream"] = [_rms(each) for each in (calls[0].given, *(each.out for each in calls))]
        if seen.seen:
            found["max_logit"], found["entropy"] = map(list, zip(*map(_sharpness, seen.seen), strict=True))
        return found


class _Again:
    """An adapter that calls the model as it was called."""

    def __init__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module, self.args, self.kwargs = module, args, kwargs

    def logits(self, _: Tensor) -> Any:
        self.module(*self.args, **self.kwargs)
        return torch.zeros(1, 1, 1)


@contextmanager
def _undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode, no gradients, eager; modes and random numbers as they were afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    with ExitStack() as undo:
        undo.enter_context(torch.no_grad())
        undo.enter_context(torch.random.fork_rng(devices=devices))
        undo.enter_context(torch.compiler.set_stance("force_eager"))
        model.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


def _size(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[int, int]:
    """Rows and tokens of what is given first."""
    first = next((v for v in (*args, *kwargs.values()) if isinstance(v, Tensor) and v.dim() > 1), None)
    return (0, 0) if first is None else (first.shape[0], first.shape[1])


def _cut(value: Any, rows: int, tokens: int) -> Any:
    """The first rows and tokens of what has one for each: scores of all tokens would be too many."""
    if not isinstance(value, Tensor):
        return value
    made = value.detach()
    if made.dim() and made.shape[0] == rows:
        made = made[:ROWS]
    if tokens > TOKENS:
        sides = (
            range(1, made.dim()) if made.dim() == 4 or not made.is_floating_point() else range(1, min(made.dim(), 2))
        )
        for side in sides:
            if made.shape[side] == tokens:
                made = made.narrow(side, 0, TOKENS)
    return made.clone()


def _sharpness(seen: Seen) -> tuple[float, float]:
    scores = seen.scores[torch.isfinite(seen.scores) & (seen.scores > -1e4)]
    weights = seen.weights.float()
    visible = (weights > 0).sum(-1)
    share = -(weights * weights.clamp(min=1e-30).log()).sum(-1) / visible.clamp(min=2).log()
    chooses = visible > 1
    entropy = float(share[chooses].mean()) if bool(chooses.any()) else 1.0
    whole = bool(torch.isnan(seen.scores).any()) or bool((seen.scores == torch.inf).any())
    return (math.nan if whole else float(scores.max()) if scores.numel() else 0.0), entropy


def _sample(group: list[nn.Parameter]) -> Tensor:
    flat = (p.detach().reshape(-1) for p in group if p.is_floating_point())
    taken = [each[:: max(1, each.numel() // SAMPLED)].float().cpu() for each in flat]
    return torch.cat(taken).clone() if taken else torch.zeros(1)


def _rms(x: Tensor) -> float:
    return float(x.float().square().mean().sqrt())


def _plain(value: Any) -> Any:
    """What JSON has no number for is null."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _warn(words: str) -> None:
    warnings.warn(f"oneblock.doctor.watch: {words}", RuntimeWarning, stacklevel=4)
