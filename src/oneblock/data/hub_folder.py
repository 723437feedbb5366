"""The tokenizer of a model's folder in Hugging Face's layout: tokenizer.json and the files beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oneblock.data.errors import DataError
from oneblock.data.files import read_bytes
from oneblock.data.hub_tokenizer import HubTokenizer

SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
# Where vocabularies stand that were saved before there was a tokenizer.json.
OLDER = ("tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "source.spm")


def has_tokenizer(folder: Path | str) -> bool:
    """Whether a tokenizer.json lies in the folder."""
    return (Path(folder) / "tokenizer.json").is_file()


def read_hub_tokenizer(folder: Path | str) -> HubTokenizer:
    """The tokenizer of a folder, with its special tokens, its chat template and the tokens that end a text.

    A text ends at the `eos_token_id` of generation_config.json, else config.json, and at the tokenizer's own
    `eos_token`. Raises `DataError` where there is no tokenizer.json, or a damaged file.
    """
    folder = Path(folder)
    if not has_tokenizer(folder):
        raise _missing(folder)
    backend, config = _json(folder / "tokenizer.json"), _json(folder / "tokenizer_config.json")
    special = _special({**_json(folder / "special_tokens_map.json"), **config})
    try:
        _add_missing_tokens(backend, special, config.get("added_tokens_decoder") or {})
        ids = _ids(backend)
        ends = [*_ends(folder), *([ids[special["eos_token"]]] if special.get("eos_token") in ids else [])]
        return HubTokenizer(backend, special=special, ends=ends, chat_template=_chat_template(folder, config))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"the tokenizer in {folder} is damaged: {error!r}. Download it again") from None
    except DataError as error:
        raise DataError(f"{folder}: {error}") from None


def _special(config: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for name in SPECIAL:
        token = config.get(name)
        content = token.get("content") if isinstance(token, Mapping) else token
        if isinstance(content, str):
            found[name] = content
    return found


def _ids(backend: Mapping[str, Any]) -> dict[str, int]:
    vocabulary = backend["model"]["vocab"]
    if not isinstance(vocabulary, Mapping):
        # Unigram: a list of (token, score) in the order of the ids.
        vocabulary = {token: number for number, (token, _) in enumerate(vocabulary)}
    return {**vocabulary, **{token["content"]: token["id"] for token in backend.get("added_tokens") or ()}}


def _add_missing_tokens(
    backend: dict[str, Any], special: Mapping[str, str], described: Mapping[str, Mapping[str, Any]]
) -> None:
    """Tokens that only tokenizer_config.json knows; and named special ones that would be cut up as plain text."""
    vocabulary = _ids({**backend, "added_tokens": None})
    missing = {token["content"]: {**token, "id": int(number)} for number, token in described.items()}
    for content in special.values():
        if content in vocabulary and content not in missing:
            missing[content] = {"content": content, "id": vocabulary[content], "special": True, "normalized": False}
    present = list(backend.get("added_tokens") or ())
    known = {token["content"] for token in present}
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
    new = [{**plain, **token} for content, token in missing.items() if content not in known]
    backend["added_tokens"] = [
        {name: token[name] for name in ("id", "content", *plain)}
        for token in sorted([*present, *new], key=lambda one: one["id"])
    ]


def _chat_template(folder: Path, config: Mapping[str, Any]) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return read_bytes(path).decode("utf-8")
    template = config.get("chat_template")
    if isinstance(template, list):
        named = {one["name"]: one["template"] for one in template}
        template = named.get("default")
    if template is not None and not isinstance(template, str):
        raise TypeError("chat_template is no text")
    return template


def _ends(folder: Path) -> list[int]:
    for name in ("generation_config.json", "config.json"):
        given = _json(folder / name).get("eos_token_id")
        if given is not None:
            return [int(token) for token in (given if isinstance(given, list) else [given])]
    return []


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(read_bytes(path))
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}. Download it again") from None
    if not isinstance(content, dict):
        raise DataError(f"{path} is no JSON object, as it should be. Download it again")
    return content


def _missing(folder: Path) -> DataError:
    older = [name for name in OLDER if (folder / name).is_file()]
    if not older:
        return DataError(f"{folder} holds no tokenizer.json: put there the one that came with the model")
    return DataError(
        f"{folder} holds no tokenizer.json but {', '.join(older)}, an older form. Make one: "
        f'transformers.AutoTokenizer.from_pretrained("{folder}").save_pretrained("{folder}")'
    )
