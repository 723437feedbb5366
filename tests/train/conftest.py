"""Trainings of seconds: a small text, a smaller model, and what a run left behind, to be compared bit for bit."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from forked import forked

from oneblock.config.config import Config
from oneblock.config.override import override
from oneblock.config.presets import nano
from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.folder import Run
from oneblock.runs.metrics import MetricsLog
from oneblock.runs.weights import load_weights
from oneblock.train import session
from oneblock.train.processes import ALONE, Processes
from oneblock.train.tasks import next_token

SMALL = (
    "context=8",
    "width=16",
    "num_layers=1",
    "block.attention.num_heads=2",
    "recipe.batch_size=12",
    "recipe.compile=off",
    "recipe.refit=0",
    "block.dropout=0",
    "embedding_dropout=0",
    "recipe.optimizer=adamw",
    "recipe.optimizer.weight_decay=1.0",
    "recipe.precision=float32",
    "recipe.optimizer.learning_rate=0.01",
    "recipe.schedule.warmup=3",
    "recipe.schedule.final=0.1",
    "recipe.average=none",
)


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    """Small models only wait for a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    """Words drawn at random: 127 windows of 8 in the training split, so an epoch ends inside the 11th batch of 12."""
    draw = random.Random(5)
    words = ["".join(draw.choices("abcdefghijklm", k=draw.randint(2, 7))) for _ in range(31)]
    path = tmp_path / "text.txt"
    path.write_text(" ".join(draw.choices(words, k=400))[:1201])
    return path


@pytest.fixture
def small(text: Path) -> Callable[..., Config]:
    """`small("recipe.steps=5", …)`: the small configuration with these settings."""
    return lambda *settings: override(nano(), f"recipe.data={text}", *SMALL, *settings)


Trainer = Callable[..., tuple[dict[str, Any], session.Session]]


@pytest.fixture
def train(monkeypatch: pytest.MonkeyPatch, small: Callable[..., Config]) -> Trainer:
    """`train(folder, *settings, resume, stop_at, listen)` -> result and session. No peak measured, no page written."""
    monkeypatch.setattr(session, "matrix_peak", lambda *of: 1e12)
    monkeypatch.setattr(session, "write_report", lambda *of: None)
    monkeypatch.setattr(next_token, "SAMPLE_TOKENS", 11)

    def train(
        folder: Path, *settings: str, resume: bool = False, stop_at: int | None = None, listen: Any = None
    ) -> tuple[dict[str, Any], session.Session]:
        done = 0

        def heard(event: Any) -> None:
            nonlocal done
            done = event["step"]
            if listen:
                listen(event)

        if resume:
            made = session.reopen(Run.open(folder), lambda config: override(config, *settings))
        else:
            made = session.start(small(*settings), folder)
        training = session.Session(
            *made, resume=resume, device="cpu", listen=heard, stop=lambda: stop_at is not None and done >= stop_at
        )
        return training.train(), training

    return train


@pytest.fixture
def together(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """`together(world, folder, config)`, or with `steps` for a resume: the run by so many processes -> its result."""
    monkeypatch.setattr(session, "matrix_peak", lambda *of: 1e12)
    monkeypatch.setattr(session, "write_report", lambda *of: None)
    monkeypatch.setattr(next_token, "SAMPLE_TOKENS", 11)

    def together(world: int, folder: Path, config: Config | None = None, steps: int | None = None) -> dict[str, Any]:
        def work(processes: Processes) -> dict[str, Any]:
            if config is not None:
                made = session.start(config, folder, processes)
            else:
                wanted = lambda old: override(old, f"recipe.steps={steps}")  # noqa: E731
                made = session.reopen(Run.open(folder), wanted, processes)
            made_of = session.Session(*made, resume=config is None, device="cpu", processes=processes)
            return made_of.train()

        results = [work(ALONE)] if world == 1 else forked(world, work, tmp_path / "forked")
        for result in results:
            if isinstance(result, BaseException):
                raise result
        clocks = ("seconds", "tokens_per_second", "peak_share", "compile_seconds")
        told = [{name: value for name, value in result.items() if name not in clocks} for result in results]
        assert all(other == told[0] for other in told), "all processes come to the same result"
        return results[0]

    return together


@pytest.fixture
def left() -> Callable[[Path], dict[str, Any]]:
    """What a run has left: its newest checkpoint, kept weights and metrics, clocks taken out."""

    def left(folder: Path) -> dict[str, Any]:
        checkpoint = load_checkpoint(folder)
        state = {**checkpoint.state, "count": dict(checkpoint.state["count"])}
        clocks = {"seconds": state["count"].pop("seconds"), "compiling": state["count"].pop("compile_seconds")}
        assert all(value >= 0 for value in clocks.values())
        kept, meta = load_weights(folder, "kept")
        told = [
            {key: value for key, value in line.items() if key not in ("seconds", "step_seconds")}
            for line in MetricsLog(folder / "metrics.jsonl").read()
            if line["event"] in ("step", "skip", "evaluate", "sample", "horizon", "rollback")
        ]
        return {"tensors": checkpoint.tensors, "state": state, "kept": kept, "meta": meta, "told": told}

    return left


@pytest.fixture
def same() -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Asserts that two runs have left the same, bit for bit."""

    def same(one: dict[str, Any], other: dict[str, Any]) -> None:
        for place in ("tensors", "kept"):
            assert one[place].keys() == other[place].keys()
            for name, tensor in one[place].items():
                twin = other[place][name]
                assert tensor.dtype == twin.dtype and torch.equal(tensor, twin), (place, name)
        for place in ("state", "meta", "told"):
            assert one[place] == other[place], place

    return same
