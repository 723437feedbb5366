"""What the tasks on one text share: its corpus, its windows, what a run keeps of it."""

from __future__ import annotations

import functools
from typing import Any, Self

import numpy as np

from oneblock.config.config import Config
from oneblock.data.corpus import Corpus, prepare
from oneblock.data.text import locate
from oneblock.data.tokenizer import tokenizer_from_dict
from oneblock.runs.folder import Run
from oneblock.train.tasks.task import Task, check_unchanged


class TextTask(Task):
    """Windows of a text, `batch_size` × `context` a step."""

    def __init__(self, config: Config, corpus: Corpus) -> None:
        self.corpus, self.context, self.batch_size = corpus, config.model.context, config.recipe.batch_size
        self.name, self.origin, self.sha256 = corpus.name, corpus.origin, corpus.sha256
        found = {"name": corpus.name, "origin": corpus.origin, "sha256": corpus.sha256}
        self.files = {
            "tokenizer.json": corpus.tokenizer.to_dict(),
            "data.json": found | {"characters_per_token": corpus.characters_per_token},
        }

    @staticmethod
    def read(config: Config) -> Corpus:
        """The text a recipe names, long enough for the model's context."""
        corpus = prepare(config.recipe.data, config.recipe.tokenizer)
        corpus.check(config.model.context)
        return corpus

    @classmethod
    def reopen(cls, config: Config, run: Run) -> Self:
        # Before the text is read: its tokenizer may not even know a changed one's characters.
        found = locate(config.recipe.data)
        check_unchanged(run, found.sha256(), found.origin)
        return cls(config, prepare(config.recipe.data, tokenizer_from_dict(run.read_json("tokenizer.json"))))

    @property
    def tokens_a_step(self) -> int:
        return self.batch_size * self.context

    def size(self, split: str) -> int:
        return len(self.corpus.splits[split])

    @functools.cached_property
    def whole(self) -> Any:
        """The whole training split, its held-out end too."""
        return np.concatenate([self.corpus.train, self.corpus.selection])
