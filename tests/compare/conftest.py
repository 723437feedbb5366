"""Comparisons of a second: a text made here, models of a few thousand parameters."""

import random

import pytest
import torch

from oneblock.compare.experiment import Budget, Experiment, Lower, Sayings
from oneblock.compare.store import Store


@pytest.fixture(autouse=True)
def one_thread():
    """Small models only wait for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def store(tmp_path):
    """An empty store in a folder of its own."""
    made = Store(tmp_path / "out")
    yield made
    made.close()


@pytest.fixture
def text(tmp_path):
    """Words drawn at random, so that there is something to learn."""
    draw = random.Random(5)
    words = ["".join(draw.choices("abcdefghijklm", k=draw.randint(2, 7))) for _ in range(31)]
    path = tmp_path / "text.txt"
    path.write_text(" ".join(draw.choices(words, k=700)))
    return path


@pytest.fixture
def tiny(text):
    """The smallest budget that trains."""
    sizes = ("context=8", "width=12", "num_layers=2", "block.attention.num_heads=2", "recipe.batch_size=6")
    short = ("recipe.steps=12", "recipe.schedule.warmup=2")
    return Budget(settings=(*sizes, *short, f"recipe.data={text}"), seeds=2, rates=(1.0, 3.0))


@pytest.fixture
def experiment():
    """`experiment(variants, …)`: one about the validation loss of the first two variants."""

    def make(variants, **fields):
        names = list(variants)
        says = Sayings(supported="{a} below {b} by {difference}", refuted="{b} below {a}")
        return Experiment(
            **{
                "name": "made-here",
                "row": "T1",
                "claim": "A claim.",
                "source": "a test",
                "variants": variants,
                "rule": (Lower(a=names[0], b=names[1]),),
                "says": says,
            }
            | fields
        )

    return make
