"""From what a person names to a `Target`: a run, a folder as Hugging Face lays it out, `file.py:factory`, a module."""

from __future__ import annotations

import importlib.util
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oneblock.doctor.errors import DoctorError


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What was found under a name, and what makes another one with fresh weights, where there is such a thing."""

    name: str
    thing: Any
    again: Callable[[], Any] | None = None


def open_target(text: str) -> Opened:
    """A run of ours, a folder or file that `oneblock.load` reads, or `path/to/file.py:factory`.

    DoctorError where there is no such thing, or a factory that raises: with the last line that is its own.
    """
    path, colon, name = text.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(text, Path(path), name)
    folder = Path(text)
    if not folder.exists():
        raise DoctorError(f"{text} is not there; give a run, a model's folder, or path/to/file.py:factory")
    from oneblock.runs.load import load

    try:
        return wrap(load(folder), text)
    except DoctorError:
        raise
    except Exception as error:
        return _from_transformers(text, folder, error)


def wrap(thing: Any, name: str = "") -> Opened:
    """A module or an adapter that is at hand; a fresh one is made from the configuration it carries, if any."""
    config = getattr(thing, "config", None)
    again: Callable[[], Any] | None = None
    if type(thing).__module__.startswith("oneblock.models"):
        from oneblock.models.build import build

        again = lambda: build(thing.config)  # noqa: E731
    elif hasattr(config, "model_type") and hasattr(thing, "from_pretrained"):
        again = lambda: type(thing)(config)  # noqa: E731
    elif hasattr(thing, "fresh"):
        again = thing.fresh
    return Opened(name=name or type(thing).__name__, thing=thing, again=again)


def _from_file(text: str, path: Path, name: str) -> Opened:
    if not path.is_file():
        raise DoctorError(f"{path} is not there; give path/to/file.py:factory")
    spec = importlib.util.spec_from_file_location(f"_doctor_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    made: Any = None
    try:
        with torch.random.fork_rng(devices=[]):
            spec.loader.exec_module(module)
            factory = getattr(module, name, None)
            made = factory() if callable(factory) and not isinstance(factory, nn.Module) else factory
    except Exception as error:
        raise DoctorError(f"{text} raised {type(error).__name__}: {error} ({own_line(error, path)})") from error
    if made is None:
        offered = ", ".join(n for n, value in vars(module).items() if callable(value) and not n.startswith("_"))
        raise DoctorError(f"{path} has no {name}, or it gives nothing; it has {offered or 'no function at all'}")
    again = factory if callable(factory) and not isinstance(factory, nn.Module) else None
    return Opened(name=text, thing=made, again=again)


def _from_transformers(text: str, folder: Path, first: Exception) -> Opened:
    """Whatever class `transformers` builds for a folder that no family here reads; weights in safetensors only."""
    if not (folder / "config.json").is_file() or importlib.util.find_spec("transformers") is None:
        raise DoctorError(f"{text} cannot be loaded: {first}") from first
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        kind = getattr(transformers, (config.architectures or ["AutoModel"])[0])
        model = kind.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except Exception as error:
        raise DoctorError(f"{text} cannot be loaded: {first}; by transformers: {error}") from error
    return wrap(model, text)


def own_line(error: BaseException, path: Path) -> str:
    """The last line of a traceback that stands in the person's own file."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == path.absolute()]
    frames = frames or [f for f in traceback.extract_tb(error.__traceback__) if Path(f.filename).name == path.name]
    return f"line {frames[-1].lineno}: {frames[-1].line}" if frames else "no line of its own"
