"""Next tokens of a text."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.data.batches import sample_batch
from oneblock.data.corpus import Corpus, prepare
from oneblock.data.text import locate
from oneblock.data.tokenizer import tokenizer_from_dict
from oneblock.decoding.generate import generate
from oneblock.runs.folder import Run
from oneblock.train.evaluate import evaluate, excerpts
from oneblock.train.loss import cross_entropy
from oneblock.train.tasks.task import Arrays, Forward, Task, check_unchanged

SAMPLE_TOKENS, SAMPLE_TEMPERATURE = 200, 0.8


class NextTokenTask(Task):
    """Windows of a text: inputs B × T and the tokens that follow them."""

    def __init__(self, config: Config, corpus: Corpus) -> None:
        self.corpus, self.context, self.batch_size = corpus, config.model.context, config.recipe.batch_size
        self.name, self.origin, self.sha256 = corpus.name, corpus.origin, corpus.sha256
        self.files = corpus_files(corpus)

    @classmethod
    def begin(cls, config: Config) -> tuple[Config, Self]:
        corpus = prepare(config.recipe.data, config.recipe.tokenizer)
        corpus.check(config.model.context)
        assert isinstance(config.model, Decoder)
        config = replace(config, model=replace(config.model, vocab_size=corpus.tokenizer.vocab_size))
        return config, cls(config, corpus)

    @classmethod
    def reopen(cls, config: Config, run: Run) -> Self:
        return cls(config, reopened_corpus(config, run))

    @property
    def tokens_a_step(self) -> int:
        return self.batch_size * self.context

    def size(self, split: str) -> int:
        return len(self.corpus.splits[split])

    def batch(self, step: int, seed: int, whole: bool) -> Arrays:
        text = self._whole if whole else self.corpus.train
        return sample_batch(text, seed=seed, step=step, batch_size=self.batch_size, context=self.context)

    def loss(self, forward: Forward, *batch: Tensor) -> Tensor:
        inputs_BT, targets_BT = batch
        return cross_entropy(forward(inputs_BT), targets_BT)

    def loss_on(self, model: nn.Module, split: str, precision: torch.dtype) -> float:
        tokens = self.corpus.splits[split]
        pieces = excerpts(tokens, len(self.corpus.validation)) if split == "train" else [tokens]
        total = sum(
            (len(piece) - 1) * evaluate(model, piece, context=self.context, precision=precision) for piece in pieces
        )
        return total / sum(len(piece) - 1 for piece in pieces)

    def try_it(self, run: Run) -> str:
        # Only of Shakespeare is it known that his tokenizer knows these letters.
        return super().try_it(run) + (' --prompt "ROMEO:"' if self.name == "shakespeare" else "")

    def sample(self, model: nn.Module) -> str:
        device = next(model.parameters()).device
        prompt = torch.from_numpy(self.corpus.selection[:1].astype("int64"))[None].to(device)
        ids = generate(model, prompt, max_new_tokens=SAMPLE_TOKENS, temperature=SAMPLE_TEMPERATURE, seed=0)
        return self.corpus.tokenizer.decode(ids[0, 1:].tolist())

    @functools.cached_property
    def _whole(self) -> Any:
        return np.concatenate([self.corpus.train, self.corpus.selection])


def corpus_files(corpus: Corpus) -> dict[str, Any]:
    """What a run keeps of its text: the tokenizer, and where the text came from."""
    found = {"name": corpus.name, "origin": corpus.origin, "sha256": corpus.sha256}
    return {
        "tokenizer.json": corpus.tokenizer.to_dict(),
        "data.json": found | {"characters_per_token": corpus.characters_per_token},
    }


def reopened_corpus(config: Config, run: Run) -> Corpus:
    """The text of a run that was begun, with the run's tokenizer; RunError where the text has changed."""
    # Before the text is read: its tokenizer may not even know a changed one's characters.
    found = locate(config.recipe.data)
    check_unchanged(run, found.sha256(), found.origin)
    return prepare(config.recipe.data, tokenizer_from_dict(run.read_json("tokenizer.json")))
