"""Next tokens of a text."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import torch
from torch import Tensor, nn

from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.data.batches import sample_batch
from oneblock.decoding.generate import generate
from oneblock.runs.folder import Run
from oneblock.train.evaluate import evaluate, excerpts
from oneblock.train.step import next_token
from oneblock.train.tasks.task import Arrays, Forward
from oneblock.train.tasks.text import TextTask

SAMPLE_TOKENS, SAMPLE_TEMPERATURE = 200, 0.8


class NextTokenTask(TextTask):
    """Windows of a text: inputs B × T and the tokens that follow them."""

    @classmethod
    def begin(cls, config: Config) -> tuple[Config, Self]:
        corpus = cls.read(config)
        assert isinstance(config.model, Decoder)
        config = replace(config, model=replace(config.model, vocab_size=corpus.tokenizer.vocab_size))
        return config, cls(config, corpus)

    def batch(self, step: int, seed: int, whole: bool) -> Arrays:
        text = self.whole if whole else self.corpus.train
        return sample_batch(text, seed=seed, step=step, batch_size=self.batch_size, context=self.context)

    def loss(self, forward: Forward, *batch: Tensor) -> Tensor:
        return next_token(forward, *batch)

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
