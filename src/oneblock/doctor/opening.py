"""From what a person names to a `Target`: a run, a folder of `transformers`, ckpt.pt, `file.py:factory`, a module."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from oneblock.doctor.again import maker
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.factory import made
from oneblock.doctor.wrapping import unwrapped

AUTO = ("AutoModelForCausalLM", "AutoModelForSeq2SeqLM", "AutoModelForMaskedLM", "AutoModel")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """What was found under a name, and what makes another one with fresh weights, where there is such a thing.

    note: what it was taken out of. expects: what an adapter declares of itself, in the words of `--expect`.
    guessed: `again` calls the class once more, which the model may not be as it is now.
    """

    name: str
    thing: Any
    again: Callable[[], Any] | None = None
    note: str = ""
    expects: tuple[str, ...] = ()
    guessed: bool = False


def open_target(text: str, *, trust: bool = False) -> Opened:
    """A run of ours, a folder that `transformers` or `oneblock.load` reads, ckpt.pt, or `path/to/file.py:factory`.

    trust: unpickle, and run code that came with weights. DoctorError where there is no such thing, where it would
    need trust, or of a factory that raises, hangs, grows or dies: with the last line that is its own.
    """
    if not text.strip():
        raise DoctorError("TARGET is empty; give a run, a model's folder, ckpt.pt, or path/to/file.py:factory")
    path, colon, name = text.rpartition(":")
    if colon and path.endswith(".py") and name:
        thing, factory = made(Path(path), name)
        opened = wrap(thing, text)
        return opened if factory is None else Opened(**vars(opened) | {"again": factory, "guessed": False})
    folder = Path(text)
    if text.rstrip(":").endswith(".py"):
        file = text.rstrip(":")
        raise DoctorError(f"{file} is a file of Python; say which function gives the model: {file}:NAME")
    if not folder.exists():
        raise DoctorError(f"{text} is not there; give a run, a model's folder, ckpt.pt, or path/to/file.py:factory")
    if folder.suffix in (".pt", ".pth", ".ckpt", ".bin"):
        return wrap(_from_ckpt(folder, trust), text)
    from oneblock.weights.gguf import is_gguf

    if not folder.is_dir() and not is_gguf(folder):
        kinds = "a run, a model's folder, ckpt.pt, or path/to/file.py:factory"
        raise DoctorError(f"{text} is a file, and none that holds a model (.pt, .pth, .ckpt, .bin, GGUF); give {kinds}")
    if _of_transformers(folder) and importlib.util.find_spec("transformers") is not None:
        return wrap(_from_transformers(folder, trust), text)
    from oneblock.runs.load import load

    try:
        return wrap(load(folder), text)
    except Exception as error:
        more = "; with transformers installed its own class is examined" if _of_transformers(folder) else ""
        raise DoctorError(f"{text} cannot be loaded: {error}{more}") from error


def wrap(thing: Any, name: str = "") -> Opened:
    """A module or an adapter that is at hand; a fresh one is made from the configuration it carries, if any."""
    thing, note = unwrapped(thing)
    config = getattr(thing, "config", None)
    again: Callable[[], Any] | None = None
    guessed = not callable(getattr(thing, "fresh", None)) or isinstance(thing, nn.Module)
    if type(thing).__module__.startswith("oneblock.models"):
        from oneblock.models.build import build

        again = lambda: build(thing.config)  # noqa: E731
    elif hasattr(config, "model_type") and hasattr(thing, "from_pretrained"):
        again = lambda: type(thing)(config)  # noqa: E731
    elif callable(getattr(thing, "fresh", None)):
        again = thing.fresh
    else:
        again = maker(thing)
    expects = getattr(thing, "expects", ()) if not isinstance(thing, nn.Module) else ()
    words = expects.replace(",", " ").split() if isinstance(expects, str) else [str(word) for word in expects or ()]
    called = name or type(thing).__name__
    return Opened(name=called, thing=thing, again=again, note=note, expects=tuple(words), guessed=guessed)


def _of_transformers(folder: Path) -> bool:
    try:
        return "model_type" in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def _from_transformers(folder: Path, trust: bool) -> nn.Module:
    """Whatever class `transformers` has for a folder: the one its configuration names, else an Auto class."""
    import transformers

    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if fields.get("auto_map") and not trust:
        raise DoctorError(f"{folder} asks for a program of its own to be run (auto_map); if you trust it: --trust")
    files = sorted(path.name for path in folder.iterdir())
    pickled = [name for name in files if name.endswith((".bin", ".pt", ".pth")) and "model" in name]
    safe = any(name.endswith(".safetensors") for name in files)
    if not safe and pickled and not trust:
        raise DoctorError(f"{folder} has its weights in a pickle ({pickled[0]}); if you trust it: --trust")
    if not safe and not pickled:
        raise DoctorError(f"{folder} has a configuration and no weights (*.safetensors)")
    named = [getattr(transformers, name, None) for name in fields.get("architectures") or ()]
    classes = [each for each in named if each is not None] or [getattr(transformers, name) for name in AUTO]
    more = {"local_files_only": True, "use_safetensors": safe} | ({"trust_remote_code": True} if trust else {})
    errors = []
    transformers.utils.logging.disable_progress_bar()
    for kind in classes:
        try:
            model = kind.from_pretrained(folder, **more)
            return model.eval()
        except Exception as error:
            errors.append(f"{kind.__name__}: {(str(error).strip().splitlines() or [type(error).__name__])[0][:200]}")
    raise DoctorError(f"{folder} cannot be loaded by transformers: {'; '.join(errors[:2])}")


def _from_ckpt(path: Path, trust: bool) -> nn.Module:
    """nanoGPT's checkpoint, as the model it describes; with trust also a whole module that was pickled."""
    from oneblock.weights.errors import WeightsError
    from oneblock.weights.nanogpt import open_ckpt

    try:
        return open_ckpt(path).model()
    except WeightsError as error:
        if not trust:
            pickled = "objects besides tensors" in str(error)
            raise DoctorError(f"{error}{'; or, if you trust it: --trust' if pickled else ''}") from error
        return _unpickled(path, error)


def _unpickled(path: Path, refused: Exception) -> nn.Module:
    """What a person trusts: a module, or a checkpoint with one, or nanoGPT's with other things in it."""
    import torch

    from oneblock.weights.nanogpt import COMPILED, NANOGPT
    from oneblock.weights.reading import checkpoint
    from oneblock.weights.source import InMemory

    try:
        content = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise DoctorError(f"{path} cannot be unpickled: {type(error).__name__}: {error}") from error
    if isinstance(content, nn.Module):
        return content
    parts = content if isinstance(content, dict) else {}
    found = next((part for part in parts.values() if isinstance(part, nn.Module)), None)
    if found is not None:
        return found
    if isinstance(parts.get("model"), dict) and isinstance(parts.get("model_args"), dict):
        tensors = {n.removeprefix(COMPILED): t for n, t in parts["model"].items() if isinstance(t, torch.Tensor)}
        return checkpoint(NANOGPT, parts["model_args"], InMemory(tensors, str(path))).model()
    raise DoctorError(f"{path} holds no model: {refused}") from refused
