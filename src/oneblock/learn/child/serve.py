"""The learner's process: reads orders from one pipe, answers on another; what the learner prints goes elsewhere."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import importlib.util
import os
import random  # noqa: F401 - so that it is watched
import signal
import struct
import sys
import warnings
from pathlib import Path
from typing import Any

import torch

from .desk import Desk, told
from .limits import computing, forbid, limit
from .operators import watch_whole
from .watch import World
from .wire import LIMIT, WireError, pack, unpack, write_all

CLOSED = 93
"""The exit status where the answers can be written no more."""


def serve(orders: int, answers: int, traces: int, preload: str = "") -> None:
    """Answer orders until there are no more. The first says which file, and with which limits."""
    faulthandler.enable(file=traces)
    if hasattr(faulthandler, "register"):
        # The parent asks so where a call hangs, before it ends it.
        faulthandler.register(signal.SIGUSR1, file=traces, chain=False)
        # These two end the process, and say before where it was.
        faulthandler.register(signal.SIGPROF, file=traces, chain=True)
        faulthandler.register(signal.SIGXCPU, file=traces, chain=True)
    # Where torch warns, the innermost line is one of ours, which says nothing to the learner.
    warnings.formatwarning = lambda message, category, *_, **__: f"{category.__name__}: {message}\n"
    torch.set_num_threads(1)
    _warm()
    if preload:
        importlib.import_module(preload)
    attended = watch_whole()
    world, desk, leave, seconds = World(), None, os._exit, 0.0
    world.attended = attended
    world.watch_seeding()
    write_all(answers, pack({"number": 0}))
    while True:
        order = _read(orders)
        if order is None:
            break
        number = order.pop("number")
        if order.get("do") == "open":
            order.pop("do")
            seconds = order["seconds"]
            desk, answer = _open(world, **order)
            desk.outward = lambda *asked: _outward(orders, answers, asked)
        else:
            assert desk is not None
            with computing(seconds):
                answer = desk.answer(order)
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
        try:
            data = pack({"number": number} | answer)
        except Exception as error:  # Of whatever kind: what comes has been made by the learner.
            data = pack({"number": number, "error": _refused(str(error)), "after": answer["after"]})
        try:
            write_all(answers, data)
        except OSError:
            leave(CLOSED)
    # Not through the learner's own exit handlers.
    leave(0)


def _outward(orders: int, answers: int, asked: tuple[Any, ...]) -> tuple[Any, Any]:
    """Ask for a call of a function that stands with who asks us."""
    write_all(answers, pack({"lent": asked}))
    reply = _read(orders)
    if reply is None:
        raise EOFError
    value, error = reply["lent"]
    return value, error


def _open(
    world: World, path: str, watched: tuple[str, ...], hidden: str, imports: tuple[str, ...], scratch: str,
    memory: int, seconds: float, total: float,
) -> tuple[Desk, dict[str, Any]]:  # fmt: skip
    """Set the limits, then run the learner's file as a module."""
    folder = os.path.join(str(Path(path).parent), "")  # noqa: PTH118 - with a slash at its end
    os.chdir(scratch)
    limit(memory, total)
    forbid(hidden, imports, scratch)
    world.begin(0)
    desk = Desk({}, world, folder, watched, path)
    try:
        with computing(seconds):
            names: dict[str, Any] = vars(_module(Path(path)))
        desk.names = names
        answer: dict[str, Any] = {"value": desk.do_names()}
    except BaseException as error:
        answer = {"error": told(error, folder, path)}
    return desk, answer | {"after": world.moved()}


def _module(path: Path) -> Any:
    """The learner's file: as part of its package where its folder is one, so that it can import its neighbours."""
    sys.dont_write_bytecode = True
    folder = path.parent
    if (folder / "__init__.py").is_file():
        sys.path.insert(0, str(folder.parent))
        return importlib.import_module(f"{folder.name}.{path.stem}")
    sys.path.insert(0, str(folder))
    # Not under its bare name: a file may be called as something that torch imports later.
    spec = importlib.util.spec_from_file_location(f"learner_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _warm() -> None:
    """What torch loads late is loaded before the limits hold."""
    x = torch.ones(2, 2, requires_grad=True)
    torch.nn.functional.linear(x, x).softmax(-1).sum().backward()


def _read(descriptor: int) -> Any:
    head = _exactly(descriptor, 8)
    if head is None:
        return None
    (length,) = struct.unpack("<Q", head)
    if length > LIMIT:
        raise WireError("an order is too long")
    body = _exactly(descriptor, length)
    return None if body is None else unpack(body)


def _exactly(descriptor: int, count: int) -> bytearray | None:
    data = bytearray()
    while len(data) < count:
        part = os.read(descriptor, min(count - len(data), 2**20))
        if not part:
            return None
        data += part
    return data


def _refused(message: str) -> dict[str, Any]:
    return {"type": "Unfit", "kinds": ["Unfit"], "message": message, "line": 0, "text": "", "file": ""}
