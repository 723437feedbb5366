"""A run read back: its model with the weights it keeps, and its tokenizer; or another library's model.

RUN/config.json      `to_dict` of the whole configuration    RUN/tokenizer.json   `to_dict` of the tokenizer
RUN/weights/kept.*   the weights the run keeps               RUN/checkpoints/     the model's are model.NAME
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from oneblock.config import Config, config_from_dict
from oneblock.data.gguf_tokenizer import gguf_tokenizer
from oneblock.data.hub_folder import read_hub_tokenizer
from oneblock.data.tokenizer import Tokenizer, tokenizer_from_dict
from oneblock.models.build import build
from oneblock.models.own import with_own_blocks
from oneblock.runs import own_block
from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.errors import RunError
from oneblock.runs.folder import CONFIG, Run
from oneblock.runs.weights import load_weights
from oneblock.weights.errors import WeightsError, few
from oneblock.weights.gguf import is_gguf, open_gguf
from oneblock.weights.gguf_file import GGUFFile
from oneblock.weights.reading import open_checkpoint, read_fields, undrawn

TOKENIZER, KEPT, OF_MODEL = "tokenizer.json", "kept", "model."


def load(folder: Path | str, block: Path | str | None = None) -> nn.Module:
    """The model in `folder`, on the CPU, in eval mode: of a run, converted, as Hugging Face has it, or a GGUF file.

    Of a run the weights it keeps; where it keeps none yet, the newest whole checkpoint's. Numbers stay in the dtype
    they are stored in. block: the file or folder of a block that a person has written, where the run was trained with
    one: that code is run, and only if it is given here. RunError or WeightsError where there is no model, nothing
    whole, or weights that do not fit their configuration.
    """
    if block is not None:
        return _with_own_block(Path(folder), Path(block))
    if is_gguf(Path(folder)):
        return open_gguf(Path(folder)).model()
    if is_hugging_face(Path(folder)):
        return open_checkpoint(Path(folder)).model()
    run = Run.open(Path(folder))
    own_block.refuse_unasked(run.path)
    model = undrawn(load_config(folder).model)
    tensors, where = _weights(run)
    check_fit(model, tensors, where)
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def _with_own_block(folder: Path, block: Path) -> nn.Module:
    run = Run.open(folder)
    make = own_block.block_class(own_block.check_same(folder, block))
    model = with_own_blocks(build(load_config(folder)), make)
    tensors, where = _weights(run)
    check_fit(model, tensors, where)
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def kept_tensors(folder: Path | str) -> dict[str, Tensor]:
    """The tensors that `load` takes of a run, by name."""
    own_block.refuse_unasked(Path(folder))
    return _weights(Run.open(Path(folder)))[0]


def is_hugging_face(folder: Path) -> bool:
    """Whether a folder is as Hugging Face lays one out: its configuration has a `model_type`, or is no run's."""
    if not (folder / CONFIG).is_file():
        return False
    try:
        fields = read_fields(folder / CONFIG)
    except WeightsError:
        return False
    return "model_type" in fields or "model" not in fields


def load_config(folder: Path | str) -> Config:
    """The configuration of the run or the model in `folder`."""
    if is_gguf(Path(folder)):
        return open_gguf(Path(folder)).config
    if is_hugging_face(Path(folder)):
        return open_checkpoint(Path(folder)).config
    return config_from_dict(Run.open(Path(folder)).read_json(CONFIG))


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """The tokenizer of the run or the model in `folder`: ours, or the one that came with another library's model."""
    path = Path(folder)
    if is_gguf(path):
        return gguf_tokenizer(GGUFFile(path).fields, str(path))
    if is_hugging_face(path):
        return read_hub_tokenizer(path)
    description = Run.open(path).read_json(TOKENIZER)
    # A converted model keeps the files that came with it under their own names.
    return tokenizer_from_dict(description) if "kind" in description else read_hub_tokenizer(path)


def _weights(run: Run) -> tuple[dict[str, Tensor], Path]:
    if (run.path / "weights").is_dir():
        tensors, _ = load_weights(run.path, KEPT)
        return tensors, run.path / "weights"
    checkpoint = load_checkpoint(run.path)
    found = {
        name.removeprefix(OF_MODEL): tensor for name, tensor in checkpoint.tensors.items() if name.startswith(OF_MODEL)
    }
    return found, checkpoint.path


def check_fit(model: nn.Module, tensors: dict[str, Tensor], where: Path) -> None:
    """RunError that lists what the model lacks, what it does not know, and what has another shape."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    shapes = [
        f"{name} is {given[name]} and should be {wanted[name]}"
        for name in sorted(wanted.keys() & given.keys())
        if given[name] != wanted[name]
    ]
    faults = {
        "missing": sorted(wanted.keys() - given.keys()),
        "unexpected": sorted(given.keys() - wanted.keys()),
        "of another shape": shapes,
    }
    if any(faults.values()):
        said = "; ".join(f"{what}: {few(names)}" for what, names in faults.items() if names)
        raise RunError(
            f"the weights in {where} are not those of the {CONFIG} beside them: {said}. "
            f"Put back the {CONFIG} they were trained with"
        )
