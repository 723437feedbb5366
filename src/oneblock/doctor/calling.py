"""How a model is called: read from its signature, tried, and said."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MASKS = {
    "attention_mask": True,
    "padding": False,
    "padding_mask": False,
    "pad_mask": False,
    "key_padding_mask": False,
    "src_key_padding_mask": False,
}
"""Parameters that take padding -> whether 1 says "a real token" (else it says "a pad")."""
CACHES = ("past_key_values", "past_kvs", "past_kv", "kv_cache", "cache", "past", "layer_past")
LABELS = ("labels", "targets", "target", "y")
POSITIONS = ("position_ids", "positions", "pos_ids", "input_pos")
DOCUMENTS = ("document_ids", "doc_ids", "documents", "segment_ids", "sequence_ids", "seq_ids")
SOURCES = {
    "decoder_input_ids": "input_ids",
    "tgt": "src",
    "target": "source",
    "target_ids": "source_ids",
    "tgt_ids": "src_ids",
}
"""What a sequence-to-sequence model calls its target -> what it calls its source."""


@dataclass(frozen=True, kw_only=True)
class Calling:
    """Names of a forward's parameters, "" where it has none.

    ids: "" gives the input by place. answers_all: a model that answers for the last token only unless it is given
    targets (nanoGPT) is given dummy ones. tried: its forward names nothing, so each of these was found by trying.
    """

    ids: str = ""
    source: str = ""
    mask: str = ""
    mask_says_real: bool = True
    cache: str = ""
    use_cache: bool = False
    labels: str = ""
    dummy_targets: bool = False
    positions: str = ""
    documents: str = ""
    tried: bool = False

    def __str__(self) -> str:
        parts = [f"{self.source}=…"] if self.source else []
        parts.append(f"{self.ids}=ids" if self.ids else "ids")
        if self.mask:
            parts.append(f"{self.mask}={'1 = real' if self.mask_says_real else 'True = pad'}")
        parts += [f"{name}=…" for name in (self.cache, self.labels) if name]
        notes = ", dummy targets for all positions" if self.dummy_targets else ""
        return f"model({', '.join(parts)})" + notes + (", found by trying" if self.tried else "")


def read_signature(forward: Callable[..., Any]) -> Calling:
    """The calling that a signature suggests."""
    try:
        names = list(inspect.signature(forward).parameters)
    except (TypeError, ValueError):
        return Calling()
    target = next((name for name in SOURCES if name in names and SOURCES[name] in names), "")
    mask = next((name for name in MASKS if name in names), "")
    ids = target or ("input_ids" if "input_ids" in names else "")
    return Calling(
        ids=ids,
        source=SOURCES.get(target, ""),
        mask=mask,
        mask_says_real=MASKS.get(mask, True),
        cache=next((name for name in CACHES if name in names), ""),
        use_cache="use_cache" in names,
        labels=next((name for name in LABELS if name in names and name != target), ""),
        positions=next((name for name in POSITIONS if name in names), ""),
        documents=next((name for name in DOCUMENTS if name in names), ""),
    )


def logits_of(answer: Any) -> Tensor:
    """The logits (or vectors) in what a model gave: a tensor, a tuple, a dict, or something with `.logits`."""
    for name in ("logits", "last_hidden_state"):
        found = answer.get(name) if isinstance(answer, Mapping) else getattr(answer, name, None)
        if isinstance(found, Tensor):
            return found
    if isinstance(answer, Tensor):
        return answer
    parts = answer.values() if isinstance(answer, Mapping) else answer
    if isinstance(parts, list | tuple) or isinstance(answer, Mapping):
        for part in parts:
            if isinstance(part, Tensor) and part.is_floating_point() and part.dim() >= 2:
                return part
    raise TypeError(f"no logits in what the model gave: {type(answer).__name__}")


def loss_of(answer: Any) -> Tensor | None:
    """The loss in what a model gave, or None."""
    found = answer.get("loss") if isinstance(answer, Mapping) else getattr(answer, "loss", None)
    if isinstance(found, Tensor):
        return found
    if isinstance(answer, list | tuple):
        return next((part for part in answer if isinstance(part, Tensor) and part.dim() == 0), None)
    return answer if isinstance(answer, Tensor) and answer.dim() == 0 else None


def cache_of(answer: Any) -> Any:
    """The cache in what a model gave, or None."""
    for name in CACHES:
        found = answer.get(name) if isinstance(answer, Mapping) else getattr(answer, name, None)
        if found is not None:
            return found
    if isinstance(answer, list | tuple):
        for part in answer[1:]:
            if part is not None and not (isinstance(part, Tensor) and part.dim() == 0):
                return part
    return None


def all_tensors(answer: Any) -> list[Tensor]:
    """Every floating tensor in what a model gave, so that no head of it is missed."""
    if isinstance(answer, Tensor):
        return [answer] if answer.is_floating_point() else []
    if isinstance(answer, list | tuple):
        return [tensor for part in answer for tensor in all_tensors(part)]
    parts = answer if isinstance(answer, Mapping) else getattr(answer, "__dict__", {})
    return [tensor for name, part in parts.items() if name not in CACHES for tensor in all_tensors(part)]


def row_of(source_1S: Tensor, batch: int) -> Tensor:
    """The same source for every row."""
    return source_1S.expand(batch, *source_1S.shape[1:]).contiguous()


def seeded(seed: int) -> torch.Generator:
    """A generator of its own, so that no global state moves."""
    return torch.Generator().manual_seed(seed)
