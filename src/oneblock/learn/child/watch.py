"""What is watched around a call: the world must be as it was, inputs too, and shortcuts are seen with their line."""

from __future__ import annotations

import builtins
import functools
import operator
import random
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode, resolve_name

from .operators import WHOLE
from .wire import plain

PLACES = (
    ("torch", torch),
    ("torch.nn.functional", F),
    ("torch.Tensor", Tensor),
    ("torch.nn.Module", torch.nn.Module),
    ("torch.nn.Linear", torch.nn.Linear),
    ("torch.nn", torch.nn),
    ("torch.autograd", torch.autograd),
    ("torch.linalg", torch.linalg),
    ("builtins", builtins),
)
TORCH = str(torch.__file__).removesuffix("__init__.py")
QUIET = ("torch.nn.Module._compiled_call_impl", "builtins._")
"""Names that torch or Python itself sets anew."""


class Held:
    """What a module or a class holds: its callables as they are now, and what a class inherits and could hide."""

    def __init__(self, place: str, where: Any) -> None:
        self.place, self.where = place, where
        own = {n: v for n, v in list(vars(where).items()) if callable(v) and not f"{place}.{n}".startswith(QUIET)}
        self.names, self.values = list(own), list(own.values())
        bases = where.__mro__[1:] if isinstance(where, type) else ()
        self.inherited = {name for kind in bases for name in vars(kind)} - vars(where).keys()

    def moved(self) -> list[str]:
        """Names that stand for something else now; put right again."""
        now = vars(self.where)
        found = []
        if not all(map(operator.is_, map(now.get, self.names), self.values)):
            for name, value in zip(self.names, self.values, strict=True):
                if now.get(name) is not value and not _torchs_own(now.get(name), value):
                    found.append(name)
                    setattr(self.where, name, value)
        for name in self.inherited & now.keys():
            found.append(name)
            delattr(self.where, name)
        return [f"{self.place}.{name}" for name in found]


def _torchs_own(now: Any, before: Any) -> bool:
    """Whether torch itself has wrapped a function, as it does when its compiler is loaded late (by an optimiser)."""
    while now is not before:
        code = getattr(now, "__code__", None)
        if code is None or not code.co_filename.startswith(TORCH):
            return False
        now = getattr(now, "__wrapped__", None)
    return True


class Shortcuts(TorchFunctionMode):
    """Notes each call of a torch function whose last name is in `names`, with the learner's own line."""

    def __init__(self, names: Iterable[str], folder: str) -> None:
        super().__init__()
        self.names, self.folder = frozenset(names), folder
        self.seen: list[dict[str, Any]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # An operator's overload is called as its operator is, with ".default" behind it.
        name = getattr(func, "__name__", "").partition(".")[0]
        if name in self.names and len(self.seen) < 20:
            self.seen.append({"name": resolve_name(func) or name, "line": own_line(self.folder)})
        return func(*args, **(kwargs or {}))


class Made(TorchFunctionMode):
    """Keeps every tensor of floats that a torch function gives, with the learner's own line."""

    LIMIT = 500

    def __init__(self, folder: str) -> None:
        super().__init__()
        self.folder = folder
        self.seen: list[dict[str, Any]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = func(*args, **(kwargs or {}))
        for value in given if isinstance(given, tuple | list) else (given,):
            small = isinstance(value, Tensor) and value.dtype.is_floating_point and value.numel() <= 4096
            if small and plain(value) and len(self.seen) < self.LIMIT:
                with torch._C.DisableTorchFunction():
                    self.seen.append({"line": own_line(self.folder), "value": value.detach().clone()})
        return given


def own_line(folder: str) -> int:
    """The line of the innermost frame that is the learner's own; 0 if there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        if folder and frame.f_code.co_filename.startswith(folder):
            return frame.f_lineno
        frame = frame.f_back  # type: ignore[assignment]
    return 0


@functools.cache
def the_world() -> World:
    """The world as it is now, and for the rest of this process."""
    return World()


class World:
    """What a call must leave as it was. Everything it needs later is taken now, before anyone could patch it."""

    def __init__(self) -> None:
        self.before = [Held(place, where) for place, where in PLACES]
        # Of the generator itself: torch.manual_seed looks for every device, which takes milliseconds.
        self.seeded, self.seed = torch.default_generator.initial_seed, torch.default_generator.manual_seed
        self.python, self.python_state = random.seed, random.getstate
        self.state, self.equal = torch.default_generator.get_state, torch.equal
        self.dtype, self.enabled = torch.get_default_dtype, torch.is_grad_enabled
        self.first_dtype = torch.get_default_dtype()
        self.noted: list[str] = []
        self.attended: list[list[tuple[str, int]]] = []
        self.reset: tuple[Callable[..., Any], ...] = (torch.set_default_dtype, torch.set_grad_enabled)

    def begin(self, seed: int) -> None:
        """Before a call: torch's and Python's chance start at a seed, so that one and the same call can be repeated."""
        self.asked = seed
        self.noted.clear()
        self.attended.clear()
        self.seed(seed)
        self.python(seed)
        self.chance = self.state(), self.python_state()

    def watch_seeding(self) -> None:
        """Notes who seeds Python's and numpy's generators, which do not tell; for a process that is the learner's."""
        for name in ("random", "numpy.random"):
            module: Any = sys.modules.get(name)
            if module is None:
                continue

            def seed(*args: Any, real: Any = module.seed, name: str = name, **kwargs: Any) -> Any:
                self.noted.append(f"{name}.seed")
                return real(*args, **kwargs)

            module.seed = seed

    def whole(self, folder: str) -> list[dict[str, Any]]:
        """Calls of torch's own multi-head attention, by whatever way, with the learner's line."""
        mine = [[line for file, line in stack if folder and file.startswith(folder)] for stack in self.attended]
        return [{"name": WHOLE, "line": lines[0] if lines else 0} for lines in mine]

    def moved(self) -> dict[str, Any]:
        """What a call has left otherwise than it found it; put right again where that is possible."""
        found: dict[str, Any] = {}
        if self.seeded() != self.asked:
            found["seeded"] = ["torch.manual_seed"]
        elif self.noted:
            found["seeded"] = list(dict.fromkeys(self.noted))
        if self.dtype() != self.first_dtype:
            found["dtype"] = str(self.dtype())
            self.reset[0](self.first_dtype)
        if not self.enabled():
            found["no_grad"] = True
            self.reset[1](True)
        if "seeded" not in found and self.drew():
            found["drew"] = True
        patched = self.patched()
        if patched:
            found["patched"] = patched
        return found

    def drew(self) -> bool:
        """Whether the last call has drawn from the chance of all, torch's or Python's."""
        return not self.equal(self.state(), self.chance[0]) or self.python_state() != self.chance[1]

    def patched(self) -> list[str]:
        """Names of torch and Python that stood for something else; they are put right."""
        return [name for held in self.before for name in held.moved()][:5]
