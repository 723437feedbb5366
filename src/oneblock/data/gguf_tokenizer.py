"""The tokenizer that a GGUF file describes: a vocabulary, its merges, and by name how text is cut before them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from oneblock.data.errors import DataError
from oneblock.data.hub_tokenizer import HubTokenizer

UNKNOWN, CONTROL, OWN = 2, 3, 4
"""Types of a token that are found in a text before it is cut: unknown, control, the user's own."""

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
SIGNS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def _byte_level(cut: bool) -> dict[str, Any]:
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": cut}


def _split(pattern: str) -> list[dict[str, Any]]:
    return [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        _byte_level(False),
    ]


DIGITS = {"type": "Digits", "individual_digits": True}
CUTS: dict[str, list[dict[str, Any]]] = {
    "gpt-2": [_byte_level(True)],
    "smollm": [DIGITS, _byte_level(True)],
    "starcoder": [DIGITS, _byte_level(True)],
    "llama-bpe": _split(rf"{CONTRACTIONS}|{WORDS}|\p{{N}}{{1,3}}|{SIGNS}"),
    "qwen2": _split(rf"{CONTRACTIONS}|{WORDS}|\p{{N}}|{SIGNS}"),
}
"""`tokenizer.ggml.pre` -> how a text is cut before merging."""
# A token that is a whole word of the text is taken as it is, whether or not merges lead to it.
WHOLE_WORDS_FIRST = {"llama-bpe"}
WITH_A_START = {"llama-bpe"}
NORMALISED = {"qwen2": {"type": "NFC"}}

SPECIAL = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "sep_token": "seperator_token_id",  # spelled so in the format
    "pad_token": "padding_token_id",
}


def gguf_tokenizer(fields: Mapping[str, Any], where: str) -> HubTokenizer:
    """The byte-level BPE tokenizer of a GGUF file's description, with its chat template and what ends a text.

    Raises `DataError` where there is none, where it is of another kind, and where it is damaged.
    """
    own = {name.removeprefix("tokenizer.ggml."): value for name, value in fields.items()}
    kind, cut = own.get("model"), own.get("pre")
    if kind != "gpt2" or not isinstance(cut, str) or cut not in CUTS:
        what = f"model={kind!r}, pre={cut!r}"
        raise DataError(
            f"the tokenizer in {where} ({what}) is not supported; supported: model='gpt2' (byte-level BPE) with "
            f"pre={' or '.join(map(repr, CUTS))}. Convert the model, and put its tokenizer.json beside the weights"
        )
    try:
        return _made(own, cut, fields.get("tokenizer.chat_template"))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"the tokenizer in {where} is damaged: {error!r}. Fetch the file again") from None
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def _made(own: Mapping[str, Any], cut: str, template: str | None) -> HubTokenizer:
    tokens: list[str] = own["tokens"]
    types = own.get("token_type") or [1] * len(tokens)
    special = {name: tokens[own[field]] for name, field in SPECIAL.items() if field in own}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    backend = {
        "version": "1.0",
        "added_tokens": [
            {"id": number, "content": token, **flags, "special": kind != OWN}
            for number, (token, kind) in enumerate(zip(tokens, types, strict=True))
            if kind in (UNKNOWN, CONTROL, OWN)
        ],
        "normalizer": NORMALISED.get(cut),
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": CUTS[cut]},
        "post_processor": _around(own, special, cut),
        "decoder": _byte_level(True),
        "model": {
            "type": "BPE",
            "vocab": {token: number for number, token in enumerate(tokens)},
            "merges": [merge.split(" ") for merge in own["merges"]],
            "ignore_merges": cut in WHOLE_WORDS_FIRST,
        },
    }
    ends = [own[name] for name in ("eos_token_id", "eot_token_id") if name in own]
    return HubTokenizer(backend, special=special, ends=ends, chat_template=template)


def _around(own: Mapping[str, Any], special: Mapping[str, str], cut: str) -> dict[str, Any] | None:
    """What stands around a text: the start token and the end token, where the file asks for them."""
    start = special.get("bos_token") if own.get("add_bos_token", cut in WITH_A_START) else None
    end = special.get("eos_token") if own.get("add_eos_token", False) else None
    text = {"Sequence": {"id": "A", "type_id": 0}}
    before, behind = ([{"SpecialToken": {"id": each, "type_id": 0}}] if each else [] for each in (start, end))
    ids = {"bos_token": own.get("bos_token_id"), "eos_token": own.get("eos_token_id")}
    known = {
        special[name]: {"id": special[name], "ids": [number], "tokens": [special[name]]}
        for name, number in ids.items()
        if special.get(name) in (start, end) and number is not None
    }
    single = [*before, text, *behind]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": known} if known else None
