"""A tiny training for each objective: text, pairs and images of a few hundred examples, made here."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oneblock.config import Dense
from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.config import Config
from oneblock.config.diffusion import RectifiedFlow
from oneblock.config.dit import DiT, dit_block
from oneblock.config.encoder import Encoder
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.objective import Denoise, Masked, Pairs
from oneblock.config.presets import nano
from oneblock.config.recipe import AdamW, Constant
from oneblock.config.stack import Stack
from oneblock.train import session
from oneblock.train.report import write_report

SELF = Block(attention=Attention(num_heads=2), feed_forward=Dense(hidden=24))
BOTH = replace(SELF, steps=("attention", "cross_attention", "feed_forward"), cross_attention=Attention(num_heads=2))


def write_idx(path: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


@pytest.fixture
def data(tmp_path):
    """Objective -> path of its data."""
    draw = random.Random(5)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 6))) for _ in range(331)]
    (tmp_path / "text.txt").write_text(" ".join(words))
    (tmp_path / "pairs.tsv").write_text("".join(f"{word}\t{word[::-1].upper()}\n" for word in words))
    (tmp_path / "images").mkdir()
    labels = np.arange(301) % 3
    noise = np.random.default_rng(0).integers(0, 60, (301, 6, 6))
    bars = np.where((np.arange(6) // 2)[None, None, :] == labels[:, None, None], 180, 0)
    write_idx(tmp_path / "images/train-images-idx3-ubyte", noise + bars)
    write_idx(tmp_path / "images/train-labels-idx1-ubyte", labels)
    return {"masked": tmp_path / "text.txt", "pairs": tmp_path / "pairs.tsv", "denoise": tmp_path / "images"}


@pytest.fixture
def tiny(data):
    """`tiny("masked", steps=3, …)`: a configuration; what is given changes the recipe."""

    def make(kind: str, **changes) -> Config:
        stack = Stack(context=11, num_layers=1, blocks=(SELF,))
        model, objective = {
            "masked": (Encoder(vocab_size=2, context=11, width=12, num_layers=1, blocks=(SELF,)), Masked()),
            "pairs": (
                EncoderDecoder(
                    source_vocab=2,
                    target_vocab=2,
                    width=12,
                    encoder=stack,
                    decoder=replace(stack, blocks=(BOTH,)),
                ),
                Pairs(),
            ),
            "denoise": (
                DiT(
                    channels=1,
                    image_height=6,
                    patch=2,
                    width=12,
                    num_layers=1,
                    blocks=(dit_block(2),),
                    num_classes=2,
                    process=RectifiedFlow(),
                ),
                Denoise(),
            ),
        }[kind]
        recipe = replace(
            nano().recipe,
            **{
                "objective": objective, "data": str(data[kind]), "minutes": None, "steps": 3, "compile": "off",
                "batch_size": 8, "optimizer": AdamW(learning_rate=0.01), "schedule": Constant(), "refit": 0.0,
                "average": None, "precision": "float32", "evaluate_every": 10**6, "sample_every": 10**6, **changes,
            },
        )  # fmt: skip
        return Config(name=f"tiny-{kind}", model=model, recipe=recipe)

    return make


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """`trained(config)` -> result and session. No peak is measured."""
    monkeypatch.setattr(session, "matrix_peak", lambda *of: 1e12)

    def train(config, name="run", report=False):
        monkeypatch.setattr(session, "write_report", write_report if report else lambda *of: None)
        made = session.start(config, tmp_path / name)
        training = session.Session(*made, device="cpu")
        return training.train(), training

    return train
