"""Our tokenizers as files that Hugging Face's `AutoTokenizer` loads."""

from __future__ import annotations

import json
from typing import Any

from oneblock.config.config import Model
from oneblock.data.bpe import BYTE_OF, BPETokenizer
from oneblock.data.hub_tokenizer import HubTokenizer
from oneblock.data.symbols import SymbolTokenizer
from oneblock.data.tokenizer import ByteTokenizer, CharTokenizer, Tokenizer

SPECIAL_SYMBOLS = ("<pad>", "<start>", "<end>")


def hub_files(tokenizer: Tokenizer, model: Model) -> dict[str, bytes]:
    """tokenizer.json and what stands beside it, by name; nothing for a tokenizer the format cannot say.

    A text is cut into the same ids and joined from them again; a character that ours does not know is an error there
    too.
    """
    backend = _backend(tokenizer)
    if backend is None:
        return {}
    settings: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": getattr(model, "context", None),
        "clean_up_tokenization_spaces": False,
    }
    files: dict[str, Any] = {"tokenizer.json": backend}
    if isinstance(tokenizer, HubTokenizer):
        settings |= dict(tokenizer.special)
        if tokenizer.chat_template is not None:
            settings["chat_template"] = tokenizer.chat_template
        if tokenizer.ends:
            files["generation_config.json"] = {"eos_token_id": list(tokenizer.ends)}
    files["tokenizer_config.json"] = settings
    return {name: (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode() for name, value in files.items()}


def _backend(tokenizer: Tokenizer) -> Any:
    from tokenizers import Regex, decoders, models, pre_tokenizers
    from tokenizers import Tokenizer as Backend

    match tokenizer:
        case HubTokenizer():
            return tokenizer.to_dict()["backend"]
        case BPETokenizer():
            vocabulary = {token: number for number, token in enumerate(tokenizer.tokens)}
            made = Backend(models.BPE(vocab=vocabulary, merges=tokenizer.merges))
            made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
            made.decoder = decoders.ByteLevel()
        case ByteTokenizer():
            made = Backend(models.BPE(vocab=BYTE_OF, merges=[]))
            made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            made.decoder = decoders.ByteLevel()
        case CharTokenizer():
            made = Backend(models.WordLevel({each: number for number, each in enumerate(tokenizer.alphabet)}))
            made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
            made.decoder = decoders.Fuse()
        case SymbolTokenizer():
            symbols = (*SPECIAL_SYMBOLS, *tokenizer.alphabet)
            made = Backend(models.WordLevel({each: number for number, each in enumerate(symbols)}))
            if tokenizer.unit == "words":
                made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
            else:
                made.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
                made.decoder = decoders.Fuse()
        case _:
            return None
    return json.loads(made.to_str())
