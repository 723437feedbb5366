"""`Options`: another library's configuration, read field by field, so that nothing is passed over in silence."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from oneblock.weights.errors import WeightsError, few

Value = TypeVar("Value")

MOST = 1 << 28
"""No model has a size above it; the product of two can still be counted in bytes."""

HARMLESS = {
    "model_type", "architectures", "transformers_version", "torch_dtype", "dtype", "use_cache", "initializer_range",
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "unk_token_id",
    "decoder_start_token_id", "_name_or_path", "auto_map", "output_attentions", "output_hidden_states", "return_dict",
    "task_specific_params", "id2label", "label2id", "problem_type", "gradient_checkpointing",
    "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels", "summary_first_dropout",
    "chunk_size_feed_forward", "finetuning_task", "name_or_path", "tokenizer_class", "_attn_implementation",
    "attn_implementation", "pretraining_tp", "is_decoder", "is_encoder_decoder", "initializer_factor",
    # How its authors generate with it; that is for whoever generates to say.
    "max_length", "min_length", "num_beams", "num_beam_groups", "length_penalty", "early_stopping",
    "no_repeat_ngram_size", "do_sample", "temperature", "top_k", "top_p", "typical_p", "repetition_penalty",
    "diversity_penalty", "num_return_sequences", "bad_words_ids", "forced_bos_token_id", "forced_eos_token_id",
    "remove_invalid_values", "prefix", "encoder_no_repeat_ngram_size",
}  # fmt: skip
"""Fields that change no logit."""


class Options:
    """A config.json. Fields are asked for by name; `unread` lists those nobody asked for.

    defaults: what the family's own class takes where a field is absent
    names:    of the tensors beside it, for families whose configuration does not tell all of what is there
    """

    def __init__(
        self,
        fields: Mapping[str, Any],
        where: str = "config.json",
        names: Collection[str] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        self.fields, self.where, self.names, self.defaults = fields, where, names, defaults or {}
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        """A field, or the family's default where it is absent; WeightsError where there is neither."""
        self._read.add(name)
        for fields in (self.fields, self.defaults):
            if name in fields:
                return fields[name]
        return self.need(name)

    def get(self, name: str, default: Any) -> Any:
        """A field, or the default where it is absent."""
        self._read.add(name)
        return self.fields.get(name, default)

    def need(self, name: str) -> Any:
        """A field that must be there."""
        self._read.add(name)
        if self.fields.get(name) is None:
            raise WeightsError(f"{self.where}: {name} is missing, and nothing can be built without it")
        return self.fields[name]

    def must(self, name: str, *allowed: Any) -> None:
        """A field that may only have these values, the first where it is absent; WeightsError with what is allowed."""
        value = self.get(name, allowed[0])
        if value not in allowed:
            raise WeightsError(
                f"{self.where}: {name}={value!r} is not supported; supported: {', '.join(map(repr, allowed))}"
            )

    def one_of(self, name: str, table: Mapping[str, Value], default: str | None = None) -> Value:
        """A field that is a word, as what the table has for it; WeightsError with the words there are."""
        value = self[name] if default is None else self.get(name, default)
        if not isinstance(value, str) or value not in table:
            raise WeightsError(f"{self.where}: {name}={value!r} is not supported; supported: {few(table, 99)}")
        return table[value]

    def ignore(self, *names: str) -> None:
        """Fields that change no logit in this family."""
        self._read.update(names)

    def count(self, name: str, default: int | None = None, *, least: int = 1) -> int:
        """A field that is a whole number; null, or absent where the family has no default for it, it is `default`."""
        value = self._number(name, default)
        if not isinstance(value, int) or not least <= value <= MOST:
            raise self.wrong(name, f"a whole number from {least} to {MOST}")
        return value

    def positive(self, name: str, default: float | None = None) -> float:
        """A field that is a finite number above 0; null or absent as with `count`."""
        value = self._number(name, default)
        if not 0 < value < math.inf:
            raise self.wrong(name, "a number above 0")
        return float(value)

    def list_of(self, name: str, kind: type[Value]) -> list[Value]:
        """A field that is a list of one kind; null or absent, it is empty."""
        value = self.get(name, None) or []
        if not isinstance(value, list) or not all(isinstance(entry, kind) for entry in value):
            raise self.wrong(name, f"a list, each entry a {kind.__name__}")
        return value

    def within(self, name: str) -> Options:
        """A field that holds fields of its own; null or absent, there are none."""
        value = self.get(name, None) or {}
        if not isinstance(value, Mapping):
            raise self.wrong(name, "an object with fields")
        return Options(value, f"{self.where}: {name}")

    def wrong(self, name: str, what: str) -> WeightsError:
        """The error of a field that is not what it must be."""
        return WeightsError(f"{self.where}: {name}={self.fields.get(name)!r} must be {what}")

    def _number(self, name: str, default: float | None) -> float:
        value = self.get(name, self.defaults.get(name))
        if value is None:
            value = default if default is not None else self.defaults.get(name)
        if value is None:
            return self.need(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, "a number")
        return value

    def unread(self) -> list[str]:
        """What is there and was not asked for, fields that change no logit left out."""
        return sorted(self.fields.keys() - self._read - HARMLESS)
