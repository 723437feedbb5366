"""Where tensors come from: names and shapes at once, each tensor only when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from oneblock.weights.errors import WeightsError, few

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


class Source(Protocol):
    """Tensors by name. `where` is what an error calls it; `shapes` is known before any tensor is read."""

    where: str

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes."""
        ...

    def get(self, name: str) -> Tensor:
        """The tensor of that name."""
        ...


class InMemory:
    """Tensors that are there already."""

    def __init__(self, tensors: Mapping[str, Tensor], where: str) -> None:
        self.tensors, self.where = tensors, where
        self.shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}

    def get(self, name: str) -> Tensor:
        """The tensor of that name."""
        return self.tensors[name]


class Safetensors:
    """A folder's safetensors, in one file or in shards that an index lists; read tensor by tensor.

    WeightsError where there are none, where one is damaged, where a shard is missing, and where a pickle lies in
    their place: it is never opened.
    """

    def __init__(self, folder: Path) -> None:
        self.where = str(folder)
        self.files: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for path in _files(folder):
            with _open(path) as file:
                for name in file.keys():  # noqa: SIM118 - not a dict
                    if name in self.files:
                        raise WeightsError(f"{name} is in {self.files[name].name} and again in {path.name} of {folder}")
                    self.files[name] = path
                    self.shapes[name] = tuple(file.get_slice(name).get_shape())

    def get(self, name: str) -> Tensor:
        """The tensor of that name, in the dtype it has in the file."""
        with _open(self.files[name]) as file:
            tensor: Tensor = file.get_tensor(name)
        return tensor


def _files(folder: Path) -> list[Path]:
    if (folder / INDEX).is_file():
        return _listed(folder)
    if (folder / SINGLE).is_file():
        return [folder / SINGLE]
    others = sorted(path.name for path in folder.glob("*.safetensors"))
    if len(others) == 1:
        return [folder / others[0]]
    if others:
        raise WeightsError(f"{folder} has {few(others)} and no {INDEX} that says what is where; add it")
    pickles = sorted(path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".pkl"))
    if pickles:
        raise WeightsError(
            f"{folder} has {few(pickles)}, and no {SINGLE}. A pickle can run any program when it is opened, so it is "
            "not; save the model as safetensors (save_pretrained does) and give that folder"
        )
    raise WeightsError(f"{folder} has neither {SINGLE} nor {INDEX}; is this the folder of a whole model?")


def _listed(folder: Path) -> list[Path]:
    index = folder / INDEX
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()), key=str)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{index} is not an index of shards: {error or type(error).__name__}") from error
    outside = [name for name in names if not isinstance(name, str) or Path(name).name != name]
    if outside:
        raise WeightsError(f"{index} names {few(outside)}, which is not a file beside it")
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise WeightsError(f"{index} names {few(missing)}, missing in {folder}; fetch the whole model")
    return [folder / name for name in names]


def _open(path: Path) -> Any:
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        # Only now, for a header's length may well begin with the same two bytes.
        if is_pickle(path):
            raise WeightsError(
                f"{path} is a pickle under the name of a safetensors file; it is not opened. Save it as safetensors"
            ) from None
        raise WeightsError(
            f"{path} is no whole safetensors file ({error}); it has {path.stat().st_size:,} bytes. Fetch it again"
        ) from error


def is_pickle(path: Path) -> bool:
    """Whether a file begins as PyTorch's own do: as a zip, or as a bare pickle."""
    with path.open("rb") as file:
        return file.read(2) in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


def as_dtype(name: str | None) -> torch.dtype | None:
    """float32, bfloat16, float16 or float64 by name; None for None."""
    if name is None:
        return None
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}[
        name
    ]
