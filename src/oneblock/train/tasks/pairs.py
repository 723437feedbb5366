"""A target from a source: spelling to sound, one language to another."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from oneblock.config.config import Config
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.objective import Pairs
from oneblock.data.error_rate import error_rate
from oneblock.data.errors import DataError
from oneblock.data.pair_batches import PairBatch, PairSplit, evaluation_pairs, pad_rows, sample_pairs
from oneblock.data.pairs import PairCorpus, load_pairs
from oneblock.data.symbols import END, PAD, START
from oneblock.decoding.translate import translate
from oneblock.runs.folder import Run
from oneblock.train.evaluate import evaluating
from oneblock.train.loss import cross_entropy
from oneblock.train.precision import InPrecision
from oneblock.train.tasks.task import Arrays, Forward, Task, check_unchanged, on_device

WIDTHS = 8
"""Compiled, batches are as wide as a multiple of this: few widths are few compilations."""
SHOWN = 8


class PairsTask(Task):
    """Pairs of token rows, taught with the right beginning given (teacher forcing)."""

    measure_names: ClassVar[tuple[str, ...]] = ("phoneme_error_rate", "word_error_rate")

    def __init__(self, config: Config, corpus: PairCorpus) -> None:
        objective, option = config.recipe.objective, config.model
        assert isinstance(objective, Pairs) and isinstance(option, EncoderDecoder)
        self.corpus, self.batch_size, self.smoothing = corpus, config.recipe.batch_size, objective.label_smoothing
        self.multiple_of = 1 if config.recipe.compile == "off" else WIDTHS
        self.contexts = option.encoder.context, option.decoder.context
        self.name, self.origin, self.sha256 = corpus.name, corpus.origin, corpus.sha256
        self.files = {
            "source_tokenizer.json": corpus.source_tokenizer.to_dict(),
            "tokenizer.json": corpus.target_tokenizer.to_dict(),
            "data.json": {"name": corpus.name, "origin": corpus.origin, "sha256": corpus.sha256},
        }

    @classmethod
    def begin(cls, config: Config) -> tuple[Config, Self]:
        corpus, option = load_pairs(config.recipe.data), config.model
        assert isinstance(option, EncoderDecoder)
        longest = corpus.longest[0], corpus.longest[1] - 1  # the end is no input
        for side, stack, most in zip(("source", "target"), (option.encoder, option.decoder), longest, strict=True):
            if most > stack.context:
                part = "encoder" if side == "source" else "decoder"
                raise DataError(
                    f"the longest {side} of {corpus.name} has {most} tokens, and {part}.context={stack.context}; "
                    f"take --set {part}.context={most} or more"
                )
        vocabularies = corpus.source_tokenizer.vocab_size, corpus.target_tokenizer.vocab_size
        if option.shared_embedding:
            vocabularies = (max(vocabularies),) * 2
        model = replace(option, source_vocab=vocabularies[0], target_vocab=vocabularies[1])
        config = replace(config, model=model)
        return config, cls(config, corpus)

    @classmethod
    def reopen(cls, config: Config, run: Run) -> Self:
        corpus = load_pairs(config.recipe.data)
        check_unchanged(run, corpus.sha256, corpus.origin)
        return cls(config, corpus)

    @property
    def tokens_a_step(self) -> int:
        """On average, without pads."""
        split = self.corpus.train
        return round(self.batch_size * float(split.source_lengths.mean() + split.target_lengths.mean() - 1))

    def size(self, split: str) -> int:
        return len(self.corpus.splits[split])

    def batch(self, step: int, seed: int, whole: bool) -> Arrays:
        # The selection split is for choosing and too small to be worth learning.
        return self._within(
            sample_pairs(
                self.corpus.train, seed=seed, step=step, batch_size=self.batch_size, multiple_of=self.multiple_of
            )
        )

    def _within(self, batch: PairBatch) -> Arrays:
        """Rounding widths up must not go beyond a context; what is cut off is padding."""
        source, target = self.contexts
        return (*(side[:, :source] for side in batch[:2]), *(side[:, :target] for side in batch[2:]))

    def loss(self, forward: Forward, *batch: Tensor) -> Tensor:
        source_BS, padding_BS, inputs_BT, targets_BT, valid_BT = batch
        logits_BTV = forward(source_BS, inputs_BT, padding_BS)
        return cross_entropy(logits_BTV, targets_BT, valid_BT, self.smoothing)

    def num_targets(self, *batch: Tensor) -> int:
        return int(batch[4].sum())

    def loss_on(self, model: nn.Module, split: str, precision: torch.dtype) -> float:
        """Without label smoothing."""
        chosen = self.corpus.splits[split]
        if split == "train":
            chosen = excerpt(chosen, len(self.corpus.validation))
        device = next(model.parameters()).device
        forward, total, count = InPrecision(model, precision), 0.0, 0
        with evaluating(model):
            for batch, _ in evaluation_pairs(chosen, 128, multiple_of=self.multiple_of):
                source_BS, padding_BS, inputs_BT, targets_BT, valid_BT = on_device(self._within(batch), device)
                valid = int(valid_BT.sum())
                logits_BTV = forward(source_BS, inputs_BT, padding_BS)
                total += float(cross_entropy(logits_BTV, targets_BT, valid_BT)) * valid
                count += valid
        return total / count

    def measures_cost(self) -> float:
        sources = len(self.corpus.validation.answers)
        # Token by token is about ten times as slow as all at once, and a third of a step goes forwards.
        return 10 * sources / (3 * self.batch_size)

    def measures(self, model: nn.Module) -> dict[str, float]:
        """Of every different source of the validation split, decoded greedily, against the best of its right targets.

        phoneme_error_rate: edits for each symbol of the targets; word_error_rate: share of the sources that are wrong.
        """
        answers = self.corpus.validation.answers
        told = self._translated(model, list(answers))
        references = [[self.corpus.target_tokenizer.symbols(text) for text in right] for right in answers.values()]
        found = error_rate(told, references)
        return {"phoneme_error_rate": found.rate, "word_error_rate": found.word_error_rate}

    def sample(self, model: nn.Module) -> str:
        """Some sources of the selection split and what the model makes of them."""
        answers = self.corpus.selection.answers
        sources = list(answers)[:: max(1, len(answers) // SHOWN)][:SHOWN]
        told = self._translated(model, sources)
        joint = " " if self.corpus.target_tokenizer.unit == "words" else ""
        return "\n".join(
            f"{source} → {joint.join(symbols)}"
            + ("" if joint.join(symbols) in answers[source] else f"   ({answers[source][0]})")
            for source, symbols in zip(sources, told, strict=True)
        )

    def try_it(self, run: Run) -> str:
        return f"{super().try_it(run)} --prompt {next(iter(self.corpus.validation.answers))}"

    def _translated(self, model: nn.Module, sources: list[str], at_once: int = 256) -> list[list[str]]:
        device, told = next(model.parameters()).device, {}
        by_length = sorted(sources, key=len)
        for start in range(0, len(by_length), at_once):
            part = by_length[start : start + at_once]
            rows, _ = pad_rows([self.corpus.source_tokenizer.encode(source) for source in part])
            source_BS = torch.from_numpy(rows.astype(np.int64)).to(device)
            made = translate(
                model,
                source_BS,
                start=START,
                stop=END,
                max_new_tokens=self.contexts[1],
                padding=source_BS == PAD,
            )
            for source, one in zip(part, made, strict=True):
                told[source] = self.corpus.target_tokenizer.told(one.tokens)
        return [told[source] for source in sources]


def excerpt(split: PairSplit, count: int) -> PairSplit:
    """Every so-manieth pair, about `count` of them."""
    rows = np.linspace(0, len(split) - 1, min(count, len(split))).astype(int)
    return PairSplit(
        pairs=tuple(split.pairs[row] for row in rows),
        sources=split.sources[rows],
        source_lengths=split.source_lengths[rows],
        targets=split.targets[rows],
        target_lengths=split.target_lengths[rows],
    )
