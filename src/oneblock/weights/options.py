"""`Options`: another library's configuration, read field by field, so that nothing is passed over in silence."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from oneblock.weights.errors import WeightsError, few

Value = TypeVar("Value")

HARMLESS = {
    "model_type", "architectures", "transformers_version", "torch_dtype", "dtype", "use_cache", "initializer_range",
    "bos_token_id", "eos_token_id", "pad_token_id", "sep_token_id", "cls_token_id", "unk_token_id",
    "decoder_start_token_id", "_name_or_path", "auto_map", "output_attentions", "output_hidden_states", "return_dict",
    "task_specific_params", "id2label", "label2id", "problem_type", "gradient_checkpointing",
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

    def must(self, name: str, *allowed: Any, default: Any = None) -> None:
        """A field that may only have these values (the first is the one to try); absent, it is `default`.

        WeightsError with the value and what is allowed.
        """
        value = self.get(name, default if default is not None else allowed[0])
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

    def within(self, name: str) -> Options:
        """A field that holds fields of its own."""
        value = self.need(name)
        if not isinstance(value, Mapping):
            raise WeightsError(f"{self.where}: {name}={value!r} must be an object with fields")
        return Options(value, f"{self.where}: {name}")

    def unread(self) -> list[str]:
        """What is there and was not asked for, fields that change no logit left out."""
        return sorted(self.fields.keys() - self._read - HARMLESS)
