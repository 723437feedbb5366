"""The desk: carries out orders on the names a learner has written, and answers what came of it.

An order is a dict with `do` and what that takes; an answer has `value` or `error`, and `after`: what the call has
left otherwise than it found it. Nothing here judges.
"""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from . import mapping
from .given import GIVEN
from .operators import Operators
from .watch import Made, Shortcuts, World, the_world
from .wire import LENT, Handle, Lent, Seeded, plain


class Desk:
    """Answers orders about `names`.

    folder, file: where the learner's files lie, and the one that is graded; watched: function names to be noticed.
    """

    def __init__(
        self, names: Mapping[str, Any], world: World | None = None, folder: str = "", watched: tuple[str, ...] = (),
        file: str = "",
    ) -> None:  # fmt: skip
        self.names, self.folder, self.watched, self.file = dict(names), folder, watched, file
        self.world = world or the_world()
        self.objects: dict[int, Any] = {}
        self.kinds: dict[int, str] = {}
        self.generators: dict[int, torch.Generator] = {}
        self.given: Any = None
        self.outward: Callable[..., tuple[Any, Any]] = lent

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        """The answer to one order; what the learner's code raises is an answer too."""
        order = dict(order)
        do: Callable[..., Any] = getattr(self, "do_" + order.pop("do"))
        seed, watch, below = order.pop("seed", 0), order.pop("watch", True), order.pop("below", False)
        args, kwargs = order.get("args", ()), order.get("kwargs", {})
        kept = self._copies((args, kwargs))
        if "args" in order or "kwargs" in order:
            order["args"], order["kwargs"] = self._copies((args, kwargs))
        shortcuts, operators = Shortcuts(self.watched, self.folder), Operators(self.watched)
        self.given = kept
        self.world.begin(seed)
        answer: dict[str, Any]
        try:
            with ExitStack() as stack:
                if watch and self.watched:
                    stack.enter_context(shortcuts)
                if below:
                    stack.enter_context(operators)
                answer = {"value": do(**order)}
        except BaseException as error:
            answer = {"error": told(error, self.folder, self.file)}
        after = self.world.moved() if watch else {}
        if "args" in order:
            changed = self._changed(kept, self.given)
            if changed:
                after["changed"] = changed
        seen = shortcuts.seen or operators.seen or self.world.whole(self.folder)
        if seen:
            after["shortcuts"] = seen
        if operators.disturbed:
            after["profiler"] = True
        return answer | {"after": after}

    def do_names(self) -> dict[str, str]:
        """The public names there are, and what they are."""
        return {
            name: "class" if isinstance(value, type) else "function" if callable(value) else type(value).__name__
            for name, value in self.names.items()
            if not name.startswith("_")
        }

    def do_call(
        self, target: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], keep: tuple[int, ...] = ()
    ) -> Any:
        """Call a name, or a method of something that stands here. keep: parts of the value that stay here, unseen."""
        value = self._call(target, method, args, kwargs)
        if keep and isinstance(value, tuple | list):
            return tuple(self._hold(v, "") if at in keep else self._out(v, "") for at, v in enumerate(value))
        return self._out(value, target if isinstance(target, str) else "")

    def do_grads(
        self, target: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any], weigh: Any, of: int
    ) -> Any:
        """Call, then Σ weigh · value, and its gradients for the inputs and for all parameters of the target."""
        inputs = {path: leaf for path, leaf in _leaves((args, kwargs)) if leaf.dtype.is_floating_point}
        for leaf in inputs.values():
            leaf.requires_grad_(True)
        # Not the leaves themselves: torch lets nobody change those in place, and that is told elsewhere.
        given = _map((args, kwargs), lambda t: t.clone() if t.requires_grad else t)
        value = self._call(target, method, *given)
        picked = value[of] if isinstance(value, tuple | list) else value
        total = picked.sum() if weigh is None else (picked * weigh).sum()
        module = self.objects.get(target.number) if isinstance(target, Handle) else None
        own = dict(module.named_parameters()) if isinstance(module, nn.Module) else {}
        # Some are frozen by right, such as a table of sines.
        own = {name: tensor for name, tensor in own.items() if tensor.requires_grad}
        found = torch.autograd.grad(total, [*inputs.values(), *own.values()], allow_unused=True)
        inputs_found = dict(zip(inputs, found[: len(inputs)], strict=True))
        own_found = dict(zip(own, found[len(inputs) :], strict=True))
        return {"value": self._out(value, ""), "inputs": inputs_found, "parameters": own_found}

    def do_trace(self, target: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call again, and give every tensor that was made on the way."""
        made = Made(self.folder)
        with made:
            self._call(target, method, args, kwargs)
        return made.seen

    def do_load(self, target: Handle, weights: dict[str, Tensor], theirs: bool = False) -> Any:
        """Our weights into the learner's module, by our names; theirs: by the learner's own."""
        table = {} if theirs else mapping.wanted(self.names, self.kinds[target.number])
        return mapping.load(self.objects[target.number], weights, table)

    def do_weights(self, target: Handle) -> Any:
        """All parameters, by the learner's names; one that is shared stands under each of its names."""
        return {name: t.detach() for name, t in self.objects[target.number].named_parameters(remove_duplicate=False)}

    def do_inventory(self, target: Handle) -> Any:
        """Submodules (name, class) in order, each object once."""
        return [(name, type(module).__name__) for name, module in self.objects[target.number].named_modules()]

    def do_get(self, target: Handle | str, name: str) -> Any:
        """An attribute, by a dotted path, of what stands here; or one of the learner's names, None where it is not."""
        value = self.objects[target.number] if isinstance(target, Handle) else self.names.get(target)
        for part in name.split(".") if name else ():
            value = getattr(value, part)
        return self._out(value, "")

    def do_mode(self, target: Handle, dtype: str = "", training: bool | None = None) -> None:
        """Another dtype, train or eval."""
        module = self.objects[target.number]
        if dtype:
            module.to(getattr(torch, dtype.removeprefix("torch.")))
        if training is not None:
            module.train(training)

    def _call(self, target: Any, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        known = self.objects[target.number] if isinstance(target, Handle) else self._named(target)
        called = getattr(known, method) if method else known
        given = [self._in(value) for value in args], {name: self._in(value) for name, value in kwargs.items()}
        # Lists and dicts are handed on as they are here, so that a changed one is seen.
        self.given = (tuple(given[0]), dict(given[1]))
        return called(*given[0], **given[1])

    def _named(self, name: str) -> Any:
        if name not in self.names and name in GIVEN:
            return GIVEN[name]
        return self.names[name]

    def _lent(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not plain((list(args), kwargs)):
            raise TypeError("it takes tensors, numbers and the like")
        value, error = self.outward(number, *self._copies((args, kwargs)))
        if error:
            raise ERRORS.get(error[0], RuntimeError)(error[1])
        return value

    def _in(self, value: Any) -> Any:
        if isinstance(value, Handle):
            return self.objects[value.number]
        if isinstance(value, Lent):
            return lambda *args, **kwargs: self._lent(value.number, args, kwargs)
        if isinstance(value, Seeded):
            fresh = torch.Generator().manual_seed(value.seed)
            return self.generators.setdefault(value.kept, fresh) if value.kept else fresh
        if isinstance(value, list | tuple):
            return type(value)(map(self._in, value))
        return {key: self._in(entry) for key, entry in value.items()} if isinstance(value, dict) else value

    def _out(self, value: Any, kind: str) -> Any:
        if plain(value) and not isinstance(value, Handle):
            return _map(value, lambda t: t.detach())
        if isinstance(value, tuple | list):
            return tuple(self._out(entry, "") for entry in value)
        return self._hold(value, kind)

    def _hold(self, value: Any, kind: str) -> Handle:
        number = len(self.objects)
        self.objects[number], self.kinds[number] = value, kind or type(value).__name__
        odd = isinstance(value, Tensor)
        return Handle(number, f"Tensor ({value.layout}, {value.device})" if odd else type(value).__name__)

    def _copies(self, value: Any) -> Any:
        return _map(value, lambda t: t.detach().clone())

    def _changed(self, before: Any, now: Any, path: str = "") -> list[str]:
        """Where tensors, numbers, lists and dicts are not as they were; objects of the learner's may change."""
        if isinstance(before, Tensor):
            alike = isinstance(now, Tensor) and now.shape == before.shape and _equal(now, before)
        elif isinstance(before, list | tuple | dict):
            one, two = _entries(before), _entries(now)
            if one.keys() == two.keys():
                found = [self._changed(one[key], two[key], f"{path}.{key}" if path else str(key)) for key in one]
                return [place for places in found for place in places]
            alike = False
        else:
            alike = not isinstance(before, bool | int | float | str) or _same_plain(before, now)
        return [] if alike else [path]


ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (ValueError, TypeError, RuntimeError, IndexError, KeyError, AssertionError)
}


def lent(number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    """A lent function's (value, None), or (None, (type, message)) of what it raises."""
    try:
        return _map(LENT[number](*args, **kwargs), lambda t: t.detach()), None
    except Exception as error:
        return None, (type(error).__name__, str(error))


_same = torch.equal
_nan_to_num = torch.nan_to_num


def _equal(a: Tensor, b: Tensor) -> bool:
    if a.dtype != b.dtype:
        return False
    return _same(_nan_to_num(a.detach(), 0.5), _nan_to_num(b, 0.5)) if a.dtype.is_floating_point else _same(a, b)


def _map(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_map(entry, change) for entry in value)
    return {key: _map(entry, change) for key, entry in value.items()} if isinstance(value, dict) else value


def _entries(value: Any) -> dict[Any, Any]:
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    return value if isinstance(value, dict) else {}


def _same_plain(a: Any, b: Any) -> bool:
    return type(a) is type(b) and (a == b or (a != a and b != b))


def _leaves(value: Any, path: str = "") -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(path, value)]
    entries = _entries(value).items()
    return [leaf for key, entry in entries for leaf in _leaves(entry, f"{path}.{key}" if path else str(key))]


def told(error: BaseException, folder: str, own: str = "") -> dict[str, Any]:
    """An exception in words: its type, its message, the last line that is the learner's, and its file if not `own`."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if folder and f.filename.startswith(folder)]
    line, text, file = (frames[-1].lineno or 0, frames[-1].line or "", frames[-1].filename) if frames else (0, "", "")
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(folder):
        line, text, file = error.lineno or 0, (error.text or "").strip(), error.filename
    message = error.msg if isinstance(error, SyntaxError) else str(error)
    if isinstance(error, MemoryError) or "can't allocate memory" in message:
        message = "it asks for more memory than an exercise may have"
    elif isinstance(error, OSError) and error.errno == errno.EFBIG:
        message = "it prints or writes more than an exercise may (1 MB)"
    elif isinstance(error, SystemExit):
        message = "it ends Python; a file that is graded returns"
    return {
        "type": type(error).__name__,
        "kinds": [kind.__name__ for kind in type(error).__mro__[:8]],
        # On one line, and with nothing that moves a cursor.
        "message": "".join(c if c.isprintable() else " " for c in message[:600]).strip(),
        "line": line,
        "text": text[:200],
        "file": "" if file in ("", own) else os.path.basename(file),  # noqa: PTH119
    }
