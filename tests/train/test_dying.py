"""A process that dies or fails in the middle of a run: all others end with a word, at once, and the run goes on."""

import os
import signal

import pytest
import torch
import torch.distributed.fsdp  # noqa: F401 - once here, not in every process that a test forks
from forked import forked

from oneblock.config.errors import OneblockError
from oneblock.data.errors import DataError
from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.errors import RunError
from oneblock.train import loop, session
from oneblock.train.processes import ProcessError
from oneblock.train.tasks import next_token

EXPERTS = (
    "block.feed_forward=top_k", "block.feed_forward.num_experts=6", "block.feed_forward.k=2",
    "block.feed_forward.auxiliary_weight=0",
)  # fmt: skip
KINDS = {
    "replicated": (),
    "parameters": ("recipe.distribution.parameters=sharded",),
    "experts": (*EXPERTS, "recipe.distribution.experts=sharded"),
    "both": (*EXPERTS, "recipe.distribution.parameters=sharded", "recipe.distribution.experts=sharded"),
}
STEP = 5


@pytest.fixture
def spoilt(monkeypatch, small, tmp_path):
    """`spoilt(kind, spoil)`: what became of three processes, after `spoil(training)` in the last of them."""
    monkeypatch.setattr(session, "matrix_peak", lambda *of: 1e12)
    monkeypatch.setattr(session, "write_report", lambda *of: None)
    monkeypatch.setattr(next_token, "SAMPLE_TOKENS", 11)

    def spoilt(kind, spoil, who=2, optimizer="muon"):
        config = small(
            *KINDS[kind], "width=18", "block.attention.num_heads=3", f"recipe.optimizer={optimizer}",
            "recipe.steps=9", "recipe.checkpoint_every=2", "recipe.average=0.9",
        )  # fmt: skip

        def work(processes):
            training = session.Session(
                *session.start(config, tmp_path / "run", processes), device="cpu", processes=processes
            )
            if processes.rank == who:
                spoil(training)
            return training.train()

        return forked(3, work, tmp_path / "forked", seconds=60)

    return spoilt


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def in_forward(training):
    before = training.gradients.task_loss

    def loss(forward, *batch):
        if training.parts.count.step == STEP:
            die()
        return before(forward, *batch)

    training.gradients.task_loss = loss


def in_backward(training):
    before = training.gradients.task_loss

    def loss(forward, *batch):
        found = before(forward, *batch)
        if training.parts.count.step == STEP:
            found.register_hook(lambda grad: die())
        return found

    training.gradients.task_loss = loss


def in_step(training):
    before = training.parts.optimizer.step

    def step():
        if training.parts.count.step == STEP + 1:
            die()
        before()

    training.parts.optimizer.step = step


def in_saving(training):
    before = training.loop.save

    def save():
        if training.parts.count.step == STEP + 1:
            die()
        before()

    training.loop.save = save


PLACES = (in_forward, in_backward, in_step, in_saving)
QUICK = {("both", in_backward)}
CASES = [
    pytest.param(kind, place, marks=() if (kind, place) in QUICK else pytest.mark.slow)
    for kind in KINDS
    for place in PLACES
]


@pytest.mark.parametrize(("kind", "place"), CASES)
def test_a_killed_process_ends_the_others_and_the_run_goes_on(kind, place, spoilt, together, tmp_path):
    found = spoilt(kind, place)
    assert found[2] is None
    for error in found[:2]:
        assert isinstance(error, OneblockError) and "another process is gone" in str(error), error
        assert "--resume" in str(error)
    # Where everything is replicated, the first needs nobody to write the next one.
    assert load_checkpoint(tmp_path / "run").step in ((4, 6) if place is in_saving and kind == "replicated" else (4,))
    assert not list((tmp_path / "run/checkpoints").glob("*.tmp"))
    result = together(2, tmp_path / "run", steps=9)
    assert result["finished"] and result["steps"] == 9


def at_step(training, error):
    """A loss that raises from a step on."""
    before = training.gradients.task_loss

    def loss(forward, *batch):
        if training.parts.count.step == STEP:
            raise error
        return before(forward, *batch)

    training.gradients.task_loss = loss


@pytest.mark.parametrize("kind", ["replicated", pytest.param("both", marks=pytest.mark.slow)])
def test_a_mistake_in_one_ends_all_and_is_named_there(kind, spoilt):
    found = spoilt(kind, lambda training: at_step(training, RuntimeError("shapes do not fit")))
    assert type(found[2]) is RuntimeError and "shapes do not fit" in str(found[2])
    assert all(isinstance(error, OneblockError) and "another process is gone" in str(error) for error in found[:2])


def test_a_full_disk_ends_all(spoilt):
    def fill(training):
        def full(folder, step, *of):
            raise RunError(f"the disk is full at step {step}")

        loop.save_checkpoint = full

    found = spoilt("parameters", fill, who=0)
    assert isinstance(found[0], RunError) and "the disk is full at step 0" in str(found[0])
    for error in found[1:]:
        assert isinstance(error, ProcessError) and str(error) == "the first process stopped: the disk is full at step 0"


def test_data_that_one_cannot_read_ends_all(small, tmp_path, monkeypatch):
    config = small("recipe.steps=3")

    def work(processes):
        if processes.rank == 1:
            kind = session.TASKS[type(config.recipe.objective)]
            kind.begin = classmethod(lambda cls, config: unreadable())
        return session.start(config, tmp_path / "run", processes)

    def unreadable():
        raise DataError("no such text")

    found = forked(2, work, tmp_path / "forked")
    assert isinstance(found[1], DataError) and "no such text" in str(found[1])
    assert isinstance(found[0], ProcessError) and str(found[0]) == f"process 1 stopped: {found[1]}"
    assert not (tmp_path / "run").exists()
