"""Hidden tokens of a text, told from both sides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from oneblock.config.config import Config
from oneblock.config.encoder import Encoder
from oneblock.config.objective import Masked
from oneblock.data.corpus import Corpus
from oneblock.data.masking import MaskedBatch, evaluation_masked, sample_masked
from oneblock.data.ngram import TwoSided
from oneblock.train.evaluate import evaluating, excerpts
from oneblock.train.loss import cross_entropy
from oneblock.train.precision import InPrecision
from oneblock.train.tasks.task import Arrays, Forward, on_device
from oneblock.train.tasks.text import TextTask

NEIGHBOURS = 2
"""On each side, of the count-based model that a trained one is held against."""


class MaskedTask(TextTask):
    """Windows of a text with some tokens to be told (Devlin et al. 2019). The mask is the id behind the tokenizer's."""

    measure_names: ClassVar[tuple[str, ...]] = ("masked_accuracy", "baseline_accuracy")

    def __init__(self, config: Config, corpus: Corpus) -> None:
        objective = config.recipe.objective
        assert isinstance(objective, Masked)
        super().__init__(config, corpus)
        self.objective = objective
        self.mask_id = self.vocab_size = corpus.tokenizer.vocab_size

    @classmethod
    def begin(cls, config: Config) -> tuple[Config, Self]:
        corpus = cls.read(config)
        assert isinstance(config.model, Encoder)
        config = replace(config, model=replace(config.model, vocab_size=corpus.tokenizer.vocab_size + 1))
        return config, cls(config, corpus)

    def batch(self, step: int, seed: int, whole: bool) -> Arrays:
        made = sample_masked(
            self.whole if whole else self.corpus.train,
            seed=seed,
            step=step,
            batch_size=self.batch_size,
            context=self.context,
            vocab_size=self.vocab_size,
            mask_id=self.mask_id,
            option=self.objective,
        )
        return made.inputs, made.targets, made.chosen

    def loss(self, forward: Forward, *batch: Tensor) -> Tensor:
        inputs_BT, targets_BT, chosen_BT = batch
        return cross_entropy(forward(inputs_BT), targets_BT, chosen_BT)

    def num_targets(self, *batch: Tensor) -> int:
        return int(batch[2].sum())

    def loss_on(self, model: nn.Module, split: str, precision: torch.dtype) -> float:
        total, count = 0.0, 0
        with evaluating(model):
            for logits_BTV, batch, _ in self._told(model, split, precision):
                _, targets_BT, chosen_BT, _ = on_device(batch, logits_BTV.device)
                chosen = int(chosen_BT.sum())
                total += float(cross_entropy(logits_BTV, targets_BT, chosen_BT)) * chosen
                count += chosen
        return total / count

    def measures(self, model: nn.Module) -> dict[str, float]:
        """masked_accuracy: share of the hidden tokens of the whole validation split that are told right.

        baseline_accuracy: the same by counting, the likeliest token between two neighbours on the left and two on the
        right, from the same training split and at the same places.
        """
        counted = TwoSided(self.whole, self.vocab_size, left=NEIGHBOURS, right=NEIGHBOURS)
        right, by_counting, count = 0, 0, 0
        with evaluating(model):
            for logits_BTV, batch, padding in self._told(model, "validation", torch.float32):
                told = logits_BTV[..., : self.vocab_size].argmax(-1).cpu().numpy()
                asked = batch.hidden
                right += int((told == batch.targets)[asked].sum())
                # The counts see what the model sees: neighbours that are hidden too are unknown to both.
                by_counting += int((counted.predict(batch.inputs, asked, padding) == batch.targets[asked]).sum())
                count += int(asked.sum())
        return {"masked_accuracy": right / count, "baseline_accuracy": by_counting / count}

    def sample(self, model: nn.Module) -> str:
        """A few lines of the selection split with their hidden characters in brackets, as the model tells them."""
        with evaluating(model):
            logits_BTV, batch, _ = next(self._told(model, "selection", torch.float32, batch_size=1))
        told = np.where(batch.hidden, logits_BTV[..., : self.vocab_size].argmax(-1).cpu().numpy(), batch.targets)[0]
        decode = self.corpus.tokenizer.decode
        words = (
            f"[{decode([token])}]" if hid else decode([token]) for token, hid in zip(told, batch.hidden[0], strict=True)
        )
        return "".join(words)

    def _told(
        self, model: nn.Module, split: str, precision: torch.dtype, batch_size: int = 16
    ) -> Iterator[tuple[Tensor, MaskedBatch, Any]]:
        device = next(model.parameters()).device
        tokens = self.corpus.splits[split]
        pieces = excerpts(tokens, len(self.corpus.validation)) if split == "train" else [tokens]
        forward = InPrecision(model, precision)
        for piece in pieces:
            for batch, padding in evaluation_masked(
                piece,
                self.context,
                batch_size,
                vocab_size=self.vocab_size,
                mask_id=self.mask_id,
                option=self.objective,
            ):
                inputs_BT, padding_BT = on_device((batch.inputs, padding), device)
                yield forward(inputs_BT, padding_BT if padding.any() else None), batch, padding
