"""A tiny untrained decoder and tokens drawn at random, to be measured."""

import pytest
import torch

from oneblock.compare.faults import plant
from oneblock.compare.measures.subject import Subject
from oneblock.config.override import override
from oneblock.config.presets import nano
from oneblock.models.build import build

SIZES = ("vocab_size=13", "context=8", "width=12", "num_layers=3", "block.attention.num_heads=2")


@pytest.fixture
def subject():
    """`subject(setting, …, fault="")`: float64, three layers, a vocabulary of 13."""

    def make(*settings, fault=""):
        tiny = override(nano(), *SIZES, "init=fan_in", "block.dropout=0", "embedding_dropout=0")
        config = override(tiny, *settings)
        model = build(config, seed=2).double()
        plant(model, fault)
        generator = torch.Generator().manual_seed(3)
        tokens = torch.randint(config.model.vocab_size, (700,), generator=generator).numpy()
        return Subject(model=model, config=config, tokens=tokens, seed=0)

    return make
