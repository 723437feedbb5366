"""`Asker`: what a check holds in its hands: random inputs, calls into the learner's code, and comparisons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from oneblock.learn.child.wire import LENT, Handle, Lent, Seeded
from oneblock.learn.exercise import Finding, Steps

PRIMES = (2, 3, 5, 7, 11, 13)
TOLERANCE = {torch.float64: 1e-9, torch.float32: 5e-5}
"""The largest error that passes, relative to the largest right number (at least 1)."""


class Raised(Exception):
    """The learner's code raised; `error` says what and where."""

    def __init__(self, error: dict[str, Any], target: str, asked: int) -> None:
        self.error, self.target, self.asked = error, target, asked
        super().__init__(str(self))

    @property
    def line(self) -> int:
        """The learner's line in the file that is graded, 0 where it is in another."""
        return 0 if self.error.get("file") else int(self.error["line"])

    def __str__(self) -> str:
        if self.error["type"] == "Ended" or str(self.error["message"]).endswith("is yours to write"):
            return str(self.error["message"])
        said = f"{self.target} raised {self.error['type']}{self.error['message'] and ': '}{self.error['message']}"
        where = f"{self.error['file']}, " if self.error.get("file") else ""
        return f"{said} ({where}line {self.error['line']}: {self.error['text']})" if self.error["line"] else said


class Failed(Exception):
    """A check's finding, raised where returning it would be long-winded."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.message)
        self.finding = finding


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One order and its answer. judged: whether a wrong variant must answer the same to be the diagnosis.

    drawn: the answer is random draws, in so many blocks of one distribution each; frequencies are compared.
    """

    check: str
    order: dict[str, Any]
    answer: dict[str, Any]
    judged: bool = True
    drawn: int = 0


class Asker:
    """One check's questions. desk: gives the answer to an order; dtype: that of its random tensors."""

    def __init__(
        self,
        desk: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        check: str,
        seed: int,
        dtype: torch.dtype,
        calls: list[Asked],
    ) -> None:
        self.desk, self.check, self.seed, self.dtype, self.calls = desk, check, seed, dtype, calls
        self.generator = torch.Generator().manual_seed(seed)
        self.origin: dict[int, int] = {}

    def randn(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Normal numbers, fresh with each seed."""
        return torch.randn(shape, generator=self.generator, dtype=torch.float64).to(dtype or self.dtype)

    def rand(self, *shape: int, dtype: torch.dtype | None = None) -> Tensor:
        """Uniform numbers in [0, 1)."""
        return torch.rand(shape, generator=self.generator, dtype=torch.float64).to(dtype or self.dtype)

    def randint(self, low: int, high: int, *shape: int) -> Tensor:
        """Whole numbers in [low, high)."""
        return torch.randint(low, high, shape, generator=self.generator)

    def primes(self, count: int) -> list[int]:
        """So many different primes in a random order: sizes under which a swapped axis cannot hide."""
        return [PRIMES[i] for i in torch.randperm(len(PRIMES), generator=self.generator)[:count].tolist()]

    def generator_of(self, seed: int, kept: int = 0) -> Any:
        """A generator for the learner's code: it starts at `seed` in each call, or, `kept` under a number, goes on."""
        return Seeded(seed, kept)

    def lend(self, function: Callable[..., Any]) -> Any:
        """A function of ours as an argument: the learner's code calls it, and it runs here. No gradients pass."""
        number = len(LENT) + 1
        LENT[number] = function
        return Lent(number)

    def tensor(self, numbers: Any) -> Tensor:
        """Given numbers in this run's dtype."""
        return torch.tensor(numbers, dtype=self.dtype)

    def call(
        self, name: str, *args: Any, judged: bool = True, drawn: int = 0, keep: tuple[int, ...] = (), **kwargs: Any
    ) -> Any:
        """What `name(*args, **kwargs)` gives. keep: parts of it that stay there as handles. Raised if it raises.

        drawn: the answer is whole numbers drawn at random, so many blocks of one distribution each.
        """
        more = {"keep": keep} if keep else {}
        return self.ask(
            "call", name, judged=judged, drawn=drawn, target=name, method="", args=args, kwargs=kwargs, **more
        )

    def grads(
        self, name: str, *args: Any, weigh: Tensor | None = None, of: int = 0, judged: bool = True, **kwargs: Any
    ) -> dict[str, Any]:
        """`value`, and the gradients of Σ weigh · value (its part `of`, where it is a tuple).

        `inputs` by place ("0.1" is the second argument, "1.mask" a keyword), `parameters` by the learner's names;
        None where there is none.
        """
        found: dict[str, Any] = self.ask(
            "grads", name, judged=judged, target=name, method="", args=args, kwargs=kwargs, weigh=weigh, of=of
        )
        return found

    def build(self, name: str, *args: Any, **kwargs: Any) -> Remote:
        """A module of the learner's, in this run's dtype and in eval mode."""
        handle = self.call(name, *args, **kwargs)
        if not isinstance(handle, Handle):
            raise Failed(Finding(message=f"{name}(…) gives {describe(handle)}; it must be a class of modules"))
        module = Remote(self, handle, name)
        module.ask("mode", dtype=str(self.dtype), training=False)
        return module

    def raises(self, name: str, *args: Any, kind: str = "ValueError", **kwargs: Any) -> Finding | None:
        """A finding unless the call raises that kind of exception."""
        shown = f"{name}({', '.join(map(describe, args))})"
        try:
            self.call(name, *args, **kwargs)
        except Raised as error:
            if kind in error.error["kinds"]:
                return None
            return self.found(f"{shown} must raise {kind}; {error}", line=error.line)
        return self.found(f"{shown} must raise {kind}, and says nothing")

    def ask(self, do: str, told: str, *, judged: bool = True, drawn: int = 0, **order: Any) -> Any:
        """One order; its value, or Raised. Authors of checks have the shorter forms above."""
        order = {"do": do, "seed": self.seed + len(self.calls), **order}
        answer = self.desk(order)
        self.calls.append(Asked(check=self.check, order=order, answer=answer, judged=judged, drawn=drawn))
        if "error" in answer:
            raise Raised(answer["error"], told, len(self.calls) - 1)
        value = answer["value"]
        # The answers are kept, so their ids stay theirs.
        for part in (value, *(value if isinstance(value, tuple | list) else ())):
            self.origin[id(part)] = len(self.calls) - 1
        return value

    def found(self, message: str, *, about: Any = None, line: int = 0, steps: Steps | None = None) -> Finding:
        """A finding about the call that gave `about`, or about the last."""
        asked = self.origin.get(id(about), len(self.calls) - 1)
        return Finding(message=message, line=line, steps=steps, asked=asked)

    def same(
        self,
        got: Any,
        right: Tensor,
        what: str = "the answer",
        *,
        steps: Steps | None = None,
        tolerance: float | None = None,
    ) -> Finding | None:
        """A finding unless `got` is `right`: its shape exactly, its dtype, and its numbers; NaN is never right."""
        message = differs(got, right, what, tolerance)
        # None is one and the same wherever it comes from: which call gave it, and what was right there, is not known.
        known = None if got is None else steps
        return None if message is None else self.found(message, about=got, steps=known)


class Remote:
    """A module of the learner's, where it stands."""

    def __init__(self, asker: Asker, handle: Handle, name: str) -> None:
        self.asker, self.handle, self.name = asker, handle, name

    def __call__(self, *args: Any, judged: bool = True, **kwargs: Any) -> Any:
        return self.method("", *args, judged=judged, **kwargs)

    def method(self, method: str, *args: Any, judged: bool = True, keep: tuple[int, ...] = (), **kwargs: Any) -> Any:
        """What one of its methods gives; "" is the forward pass."""
        more = {"keep": keep} if keep else {}
        return self.ask("call", method=method, args=args, kwargs=kwargs, judged=judged, **more)

    def grads(
        self, *args: Any, weigh: Tensor | None = None, of: int = 0, method: str = "", judged: bool = True, **kwargs: Any
    ) -> dict[str, Any]:
        """As `Asker.grads`, of the forward pass or a method."""
        found: dict[str, Any] = self.ask(
            "grads", method=method, args=args, kwargs=kwargs, weigh=weigh, of=of, judged=judged
        )
        return found

    def load(self, weights: dict[str, Tensor], partial: bool = False) -> None:
        """Put weights into it, by our names (through the learner's `mapping`). Failed where one finds no place.

        partial: parameters that get nothing may stay as they are.
        """
        found = self.ask("load", weights={name: tensor.to(self.asker.dtype) for name, tensor in weights.items()})
        hint = "; other names and layouts are fine if mapping() in your file says so"
        if found["missing"]:
            there = ", ".join(self.weights()) or "none at all"
            raise Failed(
                self.asker.found(f"{self.name} has no parameter {', '.join(found['missing'])}; it has {there}{hint}")
            )
        if found["shapes"]:
            said = ", ".join(f"{name} is {theirs}, not {ours}" for name, (ours, theirs) in found["shapes"].items())
            raise Failed(self.asker.found(f"{self.name}: {said}{hint}"))
        if found["left"] and not partial:
            more = ", ".join(found["left"])
            raise Failed(self.asker.found(f"{self.name} has parameters that belong to nothing here: {more}"))

    def weights(self) -> dict[str, Tensor]:
        """Its parameters, by the learner's names."""
        found: dict[str, Tensor] = self.ask("weights")
        return found

    def inventory(self) -> list[tuple[str, str]]:
        """Its submodules: (name, class)."""
        found: list[tuple[str, str]] = self.ask("inventory")
        return found

    def get(self, name: str) -> Any:
        """One of its attributes, by a dotted path."""
        return self.ask("get", name=name)

    def train(self, training: bool = True) -> None:
        """Train or eval mode."""
        self.ask("mode", training=training)

    def ask(self, do: str, **order: Any) -> Any:
        """One order about it."""
        return self.asker.ask(do, self.name, target=self.handle, **order)


def describe(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, Tensor):
        return f"a {'×'.join(map(str, value.shape)) or 'scalar'} tensor"
    if isinstance(value, Handle):
        return f"an object of {value.kind}"
    if isinstance(value, tuple | list) and any(isinstance(entry, Tensor | Handle | tuple | list) for entry in value):
        return f"a {type(value).__name__} of {len(value)}"
    return repr(value)[:60]


def differs(got: Any, right: Tensor, what: str, tolerance: float | None = None) -> str | None:
    """How `got` is not `right`, in words; None where it is."""
    if not isinstance(got, Tensor):
        more = " (does it end with `return`?)" if got is None else ""
        return f"{what} is {describe(got)}; a tensor is asked{more}"
    if got.shape != right.shape:
        return f"{what} has shape {list(got.shape)}; right is {list(right.shape)}"
    if got.dtype != right.dtype:
        return f"{what} is {str(got.dtype)[6:]}; right is {str(right.dtype)[6:]}, as what comes in"
    if not got.dtype.is_floating_point:
        if torch.equal(got, right):
            return None
        return f"{what} is wrong {_place(got, right, (got != right).double())}"
    bad = int((~torch.isfinite(got) & torch.isfinite(right)).sum())
    if bad:
        kind = "NaN" if torch.isnan(got).any() else "infinite"
        return f"{what} is {kind} in {bad} of {got.numel()} places"
    share = TOLERANCE.get(got.dtype, 1e-2) if tolerance is None else tolerance
    got, right = got.double(), right.double()
    error = torch.where(got == right, 0.0, (got - right).abs())
    finite = right[torch.isfinite(right)].abs()
    scale = max(1.0, float(finite.max())) if finite.numel() else 1.0
    largest = float(error.max()) if error.numel() else 0.0
    # Written so that NaN fails.
    if largest < share * scale or largest == 0:
        return None
    return f"{what} is off by up to {largest:.2g} {_place(got, right, error)}"


def _place(got: Tensor, right: Tensor, error: Tensor) -> str:
    flat = int(torch.nan_to_num(error, nan=torch.inf).flatten().argmax())
    at = [int(i) for i in torch.unravel_index(torch.tensor(flat), got.shape)]
    return f"(at {at}: yours {_number(got.flatten()[flat])}, right {_number(right.flatten()[flat])})"


def _number(value: Tensor) -> str:
    return f"{float(value):.4g}" if value.dtype.is_floating_point else str(value.item())
