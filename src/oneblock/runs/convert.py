"""Models of other libraries into folders of ours, and ours into folders that other libraries load.

DST/config.json, weights/kept.safetensors   as in a run
DST/tokenizer.json and what belongs to it   as it came with the model
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from oneblock.config import Config, to_dict
from oneblock.data.hub_export import hub_files
from oneblock.data.hub_tokenizer import check_vocabulary
from oneblock.data.tokenizer import Tokenizer
from oneblock.runs.durable import new_folder, write_new
from oneblock.runs.errors import RunError, storing
from oneblock.runs.folder import CONFIG
from oneblock.runs.jsonform import to_words
from oneblock.runs.load import KEPT, TOKENIZER, is_hugging_face, kept_tensors, load_config, load_tokenizer
from oneblock.runs.shards import write_shards
from oneblock.runs.tensors import num_bytes
from oneblock.runs.weights import write_weights
from oneblock.weights.gguf import is_gguf, open_gguf
from oneblock.weights.nanogpt import open_ckpt
from oneblock.weights.reading import Checkpoint, open_checkpoint
from oneblock.weights.writing import express

GENERATION = "generation_config.json"
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "chat_template.jinja",
    GENERATION, "tokenizer.model", "spiece.model", "source.spm", "target.spm", "vocab.json",
    "vocab.txt", "merges.txt", "preprocessor_config.json",
)  # fmt: skip
"""What is carried along as it is."""
IDS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
SHARD_BYTES = 5_000_000_000


class Converted(NamedTuple):
    """What was made: its family, its parameters, names that were left aside, and configuration nobody asked for."""

    path: Path
    family: str
    parameters: int
    left_aside: list[str]
    unread: list[str]
    tokenizer: bool


class _Origin(NamedTuple):
    config: Config
    family: str
    tensors: dict[str, Tensor]
    left_aside: list[str]
    unread: list[str]
    tokenizer: Tokenizer | None
    files: dict[str, bytes]
    ids: dict[str, Any]


def to_oneblock(source: Path, target: Path, *, dtype: torch.dtype | None = None) -> Converted:
    """Another library's model as a folder of ours, in the dtype it has unless another is given.

    source: a folder as Hugging Face lays it out, a GGUF file, or nanoGPT's ckpt.pt. Written beside and renamed into
    place. WeightsError where it does not fit, RunError where `target` is taken or cannot be written,
    DataError where the tokenizer is another model's; then nothing is left there.
    """
    if is_run(source):
        raise RunError(f"{source} is a run or a converted folder already; --to hf takes it out")
    _check_free(target)
    origin = _checked(source, _origin(source, dtype))
    with _made(target, origin.tensors) as folder:
        write_weights(folder, KEPT, origin.tensors, {"family": origin.family})
        # The ids of special tokens stand in either of two files, and one of them is not carried along.
        generation = _fields(origin.files, GENERATION)
        ids = {GENERATION: _json(generation | origin.ids)} if generation | origin.ids != generation else {}
        _write(folder, origin.files | ids | {CONFIG: _json(to_words(to_dict(origin.config)))})
    return _converted(target, origin)


def to_hugging_face(
    source: Path, target: Path, *, dtype: torch.dtype | None = None, shard_bytes: int = SHARD_BYTES
) -> Converted:
    """A model, ours or another's, in the layout of the family that can express it, in shards of up to `shard_bytes`.

    WeightsError that says for each family which option stands in the way where none can; RunError where `target` is
    taken or cannot be written.
    """
    _check_free(target)
    origin = _checked(source, _origin(source, dtype))
    said = express(origin.config)
    theirs = dict(said.tensors(origin.tensors))
    files = dict(origin.files)
    if origin.tokenizer is not None and TOKENIZER not in files:
        files |= hub_files(origin.tokenizer, origin.config.model)
    ids = {name: origin.ids.get(name) for name in IDS if name in origin.ids or name != IDS[-1]}
    word = str(next(iter(theirs.values())).dtype).removeprefix("torch.")
    with _made(target, theirs) as folder:
        write_shards(folder, theirs, shard_bytes)
        _write(folder, files | {CONFIG: _json(said.fields | ids | {"dtype": word})})
    return _converted(target, origin._replace(family=said.family.name))


def is_run(path: Path) -> bool:
    """Whether a run of ours or a converted folder lies there."""
    return (path / CONFIG).is_file() and not is_hugging_face(path)


def _origin(source: Path, dtype: torch.dtype | None) -> _Origin:
    if is_run(source):
        config, files = load_config(source), _carried(source)
        tokenizer = load_tokenizer(source) if (source / TOKENIZER).is_file() else None
        if tokenizer is not None and tokenizer.kind != "hub":
            files.pop(TOKENIZER)
        tensors = {name: _as(tensor, dtype) for name, tensor in kept_tensors(source).items()}
        return _Origin(config, config.name, tensors, [], [], tokenizer, files, _ids(files))
    opened = _open(source)
    files, ids = {}, {}
    if source.is_dir():
        files = _carried(source)
        ids = _ids({CONFIG: (source / CONFIG).read_bytes()}, CONFIG) | _ids(files)
    known = (source.is_dir() and TOKENIZER in files) or is_gguf(source)
    tokenizer = load_tokenizer(source) if known else None
    if tokenizer is not None and not files:
        files = hub_files(tokenizer, opened.config.model)
        ids = _ids(files)
    return _Origin(
        opened.config,
        opened.family.name,
        opened.tensors(dtype),
        opened.left_aside,
        opened.unread,
        tokenizer,
        files,
        ids,
    )


def _checked(source: Path, origin: _Origin) -> _Origin:
    """DataError where the tokenizer that lies beside another library's model is not that model's."""
    vocab_size = getattr(origin.config.model, "vocab_size", None)
    if origin.tokenizer is not None and origin.tokenizer.kind == "hub" and vocab_size is not None:
        check_vocabulary(origin.tokenizer, vocab_size, source)
    return origin


def _carried(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in TOKENIZER_FILES if (folder / name).is_file()}


def _open(source: Path) -> Checkpoint:
    if source.is_dir():
        return open_checkpoint(source)
    if not source.exists():
        raise RunError(f"{source} does not exist; give a model's folder, a GGUF file, or nanoGPT's ckpt.pt")
    return open_gguf(source) if is_gguf(source) else open_ckpt(source)


def _as(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    return tensor.to(dtype) if dtype is not None and tensor.is_floating_point() else tensor


def _ids(files: Mapping[str, bytes], name: str = GENERATION) -> dict[str, Any]:
    """The ids of special tokens that a file says."""
    fields = _fields(files, name)
    return {each: fields[each] for each in IDS if fields.get(each) is not None}


def _fields(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    try:
        fields = json.loads(files.get(name, b"{}"))
    except ValueError as error:
        raise RunError(f"{name} is not valid JSON: {error}") from error
    if not isinstance(fields, dict):
        raise RunError(f"{name} must hold an object, and holds a {type(fields).__name__}")
    return fields


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        write_new(folder / name, [content])


def _check_free(target: Path) -> None:
    here = target.resolve() == Path.cwd()
    if target.is_dir() and not any(target.iterdir()) and not here:
        return
    if target.exists() or target.is_symlink():
        what = ("is where you are" if here else "is not empty") if target.is_dir() else "is a file"
        raise RunError(f"{target} {what}, and a converted model needs a folder of its own; choose another DST")


@contextmanager
def _made(target: Path, tensors: Mapping[str, Tensor]) -> Iterator[Path]:
    """`new_folder` with words for a disk that refuses."""
    consequence = f"There is nothing at {target}."
    with storing("the converted model", target, num_bytes(tensors), consequence), new_folder(target) as folder:
        yield folder


def _converted(target: Path, origin: _Origin) -> Converted:
    parameters = sum(tensor.numel() for tensor in origin.tensors.values())
    known = origin.tokenizer is not None
    return Converted(target, origin.family, parameters, origin.left_aside, origin.unread, known)


CONVERTERS: dict[str, Callable[..., Converted]] = {"oneblock": to_oneblock, "hf": to_hugging_face}
"""What `--to` takes -> what does it."""
