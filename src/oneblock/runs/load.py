"""A run read back: its model with the weights it keeps, and its tokenizer.

RUN/config.json      `to_dict` of the whole configuration    RUN/tokenizer.json   `to_dict` of the tokenizer
RUN/weights/kept.*   the weights the run keeps               RUN/checkpoints/     the model's are model.NAME
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from oneblock.config import Config, config_from_dict
from oneblock.data.tokenizer import Tokenizer, tokenizer_from_dict
from oneblock.models.build import build
from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.errors import RunError
from oneblock.runs.folder import CONFIG, Run
from oneblock.runs.weights import load_weights

TOKENIZER, KEPT, OF_MODEL = "tokenizer.json", "kept", "model."


def load(folder: Path | str) -> nn.Module:
    """The model of the run in `folder` with the weights it keeps, on the CPU, in eval mode.

    Where it keeps none yet: the newest whole checkpoint's. RunError where there is no run, nothing whole in
    it, or weights that do not fit its configuration.
    """
    run = Run.open(Path(folder))
    model = build(load_config(folder), seed=0)
    tensors, where = _weights(run)
    check_fit(model, tensors, where)
    model.load_state_dict(tensors)
    return model.eval()


def load_config(folder: Path | str) -> Config:
    """The configuration of the run in `folder`."""
    return config_from_dict(Run.open(Path(folder)).read_json(CONFIG))


def load_tokenizer(folder: Path | str) -> Tokenizer:
    """The tokenizer of the run in `folder`."""
    return tokenizer_from_dict(Run.open(Path(folder)).read_json(TOKENIZER))


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
        said = "; ".join(f"{what}: {_few(names)}" for what, names in faults.items() if names)
        raise RunError(
            f"the weights in {where} are not those of the {CONFIG} beside them: {said}. "
            f"Put back the {CONFIG} they were trained with"
        )


def _few(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
