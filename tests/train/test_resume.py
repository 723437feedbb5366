"""run(2N) == run(N) + resume(N), bit for bit: weights, moments, averages, kept weights, and every loss on the way."""

import pytest
import torch

from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.errors import RunError
from oneblock.runs.metrics import MetricsLog
from oneblock.runs.weights import load_weights
from oneblock.train import loop
from oneblock.train.step import compile_wanted
from oneblock.train.tasks import next_token

EVERY = ("recipe.evaluate_every=3", "recipe.sample_every=6", "recipe.checkpoint_every=4")
EVERYTHING = ("recipe.average=0.9", "block.dropout=0.2", "recipe.input_noise=0.1", "recipe.accumulation=3")
CASES = {
    "adamw": ("recipe.optimizer=adamw", "recipe.optimizer.learning_rate=0.01"),
    "muon": ("recipe.optimizer=muon", "recipe.optimizer.learning_rate=0.01"),
    "adamw with everything": EVERYTHING,
    "muon with everything": ("recipe.optimizer=muon", *EVERYTHING),
    "bfloat16, with the kernel's head width": (
        *("recipe.precision=bfloat16", "width=64", "block.attention.num_heads=2"),
        *EVERYTHING,
    ),
}


# 2: nothing has been evaluated yet; 6: after an evaluation and a sample; 11: the epoch ends inside the last batch.
@pytest.mark.parametrize(
    ("case", "stop_at"),
    [(case, 11) for case in CASES] + [("adamw with everything", n) for n in (2, 6, 10)] + [("muon", 6)],
)
def test_resume_is_bitwise(tmp_path, train, left, same, case, stop_at):
    settings = (*EVERY, *CASES[case], "recipe.steps=16")
    whole, _ = train(tmp_path / "whole", *settings)
    first, _ = train(tmp_path / "parts", *settings, stop_at=stop_at)
    assert not first["finished"] and first["steps"] == stop_at and first["val_loss"] is None
    second, _ = train(tmp_path / "parts", resume=True)
    same(left(tmp_path / "whole"), left(tmp_path / "parts"))
    assert second["finished"] and second["steps"] == 16
    for key in ("val_loss", "final_val_loss", "train_loss", "kept_step", "kept_weights", "tokens", "selection_loss"):
        assert second[key] == whole[key], key


def test_stopped_at_every_second_step(tmp_path, train, left, same):
    settings = (*EVERY, *EVERYTHING, "recipe.steps=9")
    train(tmp_path / "whole", *settings)
    train(tmp_path / "parts", *settings, stop_at=2)
    for step in (4, 6, 8, 99):
        train(tmp_path / "parts", resume=True, stop_at=step)
    same(left(tmp_path / "whole"), left(tmp_path / "parts"))


@pytest.mark.parametrize("last", ["evaluate", "sample", "step"])
def test_a_crash_between_two_checkpoints_loses_no_bit(tmp_path, train, left, same, last):
    """The newest checkpoint is of step 4; the weights kept at 6 or 9 are younger than that."""

    class Crash(BaseException):
        pass

    def crash(event):
        if event["event"] == last and event["step"] >= 6:
            raise Crash

    settings = (*EVERY, *EVERYTHING, "recipe.steps=16", "recipe.checkpoint_every=100")
    train(tmp_path / "whole", *settings)
    with pytest.raises(Crash):
        train(tmp_path / "parts", *settings, listen=crash)
    assert load_checkpoint(tmp_path / "parts").step == 0
    train(tmp_path / "parts", resume=True)
    whole, parts = left(tmp_path / "whole"), left(tmp_path / "parts")
    # What was best so far when the steps came again is not asked twice: better weights were on the disk already.
    best = [[line["step"] for line in run["told"] if line.pop("kept", False)] for run in (whole, parts)]
    assert best[0][-1] == best[1][-1] == whole["meta"]["step"]
    same(whole, parts)


def test_a_crash_before_the_first_checkpoint(tmp_path, train, left, same):
    class Crash(BaseException):
        pass

    def crash(event):
        if event["event"] == "start":
            raise Crash

    train(tmp_path / "whole", "recipe.steps=5")
    with pytest.raises(Crash):
        train(tmp_path / "parts", "recipe.steps=5", listen=crash)
    assert not (tmp_path / "parts" / "checkpoints").exists()
    train(tmp_path / "parts", resume=True)
    same(left(tmp_path / "whole"), left(tmp_path / "parts"))


def test_lost_kept_weights_are_made_again(tmp_path, train):
    settings = ("recipe.steps=8", "recipe.evaluate_every=4")
    train(tmp_path / "run", *settings, stop_at=6)
    (tmp_path / "run/weights/kept.safetensors").write_bytes(b"torn")
    result, _ = train(tmp_path / "run", resume=True)
    assert result["kept_step"] == 8 and result["val_loss"] > 0


def judged(monkeypatch, *losses):
    """The losses on the selection split, as they will be found."""
    left, compute = iter(losses), loop.Loop.loss_on
    monkeypatch.setattr(
        loop.Loop,
        "loss_on",
        lambda self, split, *of: next(left) if split == "selection" else compute(self, split, *of),
    )


def test_weights_younger_than_the_checkpoint_are_not_forgotten(tmp_path, train, monkeypatch):
    """Kept at step 6 after the checkpoint of 4; going on with another length, nothing is as good again."""

    class Crash(BaseException):
        pass

    def crash(event):
        if event["event"] == "step" and event["step"] == 7:
            raise Crash

    settings = ("recipe.evaluate_every=3", "recipe.checkpoint_every=4")
    judged(monkeypatch, 3.0, 2.0, 2.5, 2.9, 2.8)
    with pytest.raises(Crash):
        train(tmp_path / "run", "recipe.steps=16", *settings, listen=crash)
    result, _ = train(tmp_path / "run", "recipe.steps=11", resume=True)
    assert (result["kept_step"], result["selection_loss"]) == (6, 2.0)
    assert load_weights(tmp_path / "run", "kept")[1]["step"] == 6


def test_weights_that_are_lost_have_no_say(tmp_path, train, monkeypatch):
    judged(monkeypatch, 1.0, 2.0)
    train(tmp_path / "run", "recipe.steps=8", "recipe.evaluate_every=4", stop_at=6)
    (tmp_path / "run/weights/kept.safetensors").unlink()
    assert train(tmp_path / "run", resume=True)[0]["selection_loss"] == 2.0


def test_a_finished_run_gives_its_result_again(tmp_path, train, left, same):
    before, _ = train(tmp_path / "run", "recipe.steps=5", "recipe.average=0.9")
    once = left(tmp_path / "run")
    again, _ = train(tmp_path / "run", resume=True)
    same(once, left(tmp_path / "run"))
    assert again["val_loss"] == before["val_loss"] and again["tokens_per_second"] is None


def test_more_steps_on_resume_and_they_stay(tmp_path, train):
    train(tmp_path / "run", "recipe.steps=6")
    longer, _ = train(tmp_path / "run", "recipe.steps=10", resume=True, stop_at=8)
    assert longer["steps"] == 8
    rest, _ = train(tmp_path / "run", resume=True)
    assert rest["steps"] == 10, "the new length must be remembered"
    rates = [
        line["rate_factor"] for line in MetricsLog(tmp_path / "run/metrics.jsonl").read() if line["event"] == "step"
    ]
    assert rates[5] < rates[6], "the schedule is that of 10 steps from there on"


def test_fewer_steps_than_were_taken(tmp_path, train):
    train(tmp_path / "run", "recipe.steps=40", stop_at=1)
    result, _ = train(tmp_path / "run", "recipe.steps=1", resume=True)
    assert result["finished"] and result["steps"] == 1 and result["kept_step"] == 1 and result["val_loss"] > 0


class Clock:
    """A step takes `step` seconds, evaluating a token `token`."""

    def __init__(self, monkeypatch, step=0.25, token=1e-6):
        self.now, self.step = 100.0, step
        monkeypatch.setattr(loop.time, "perf_counter", lambda: self.now)
        evaluate = next_token.evaluate

        def slowly(model, tokens, **options):
            self.now += token * len(tokens)
            return evaluate(model, tokens, **options)

        monkeypatch.setattr(next_token, "evaluate", slowly)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(monkeypatch)
    clip = loop.clip_gradients

    def slowly(*of):
        clock.now += clock.step
        return clip(*of)

    monkeypatch.setattr(loop, "clip_gradients", slowly)
    return clock


MINUTES = ("recipe.minutes=0.2", "recipe.average=0.9", "recipe.checkpoint_every=7")


def test_minutes_become_steps_once(tmp_path, train, left, same, clock):
    """12 s at 0.25 s a step; after that the machine is four times as slow, and nothing changes but the time."""
    whole, session = train(tmp_path / "whole", *MINUTES)
    assert 45 <= whole["steps"] <= 48 and whole["seconds"] <= 12.1
    fixed = session.parts.horizon
    train(tmp_path / "parts", *MINUTES, stop_at=30)
    clock.step = 1.0
    result, session = train(tmp_path / "parts", resume=True)
    assert session.parts.horizon == fixed and result["seconds"] > 20
    same(left(tmp_path / "whole"), left(tmp_path / "parts"))


def test_stopped_before_the_horizon_was_measured(tmp_path, train, clock):
    first, session = train(tmp_path / "run", *MINUTES, stop_at=7)
    assert first["steps"] == 7 and session.parts.horizon is None
    result, _ = train(tmp_path / "run", resume=True)
    assert 45 <= result["steps"] <= 48, "the seconds of the first sitting count"


def test_steps_for_a_run_that_began_with_minutes(tmp_path, train, clock):
    train(tmp_path / "run", *MINUTES, stop_at=7)
    result, _ = train(tmp_path / "run", "recipe.steps=11", resume=True)
    assert result["finished"] and result["steps"] == 11


def test_other_minutes_are_measured_anew(tmp_path, train, clock):
    first, _ = train(tmp_path / "run", *MINUTES)
    train(tmp_path / "run", "recipe.minutes=0.4", resume=True, stop_at=first["steps"] + 1)
    result, _ = train(tmp_path / "run", resume=True)
    assert 85 <= result["steps"] <= 97


def test_other_minutes_survive_a_crash_before_they_are_measured(tmp_path, train, clock):
    class Crash(BaseException):
        pass

    def crash(event):
        if event["event"] == "step" and event["step"] > first["steps"] + 3:
            raise Crash

    first, _ = train(tmp_path / "run", *MINUTES)
    with pytest.raises(Crash):
        train(tmp_path / "run", "recipe.minutes=0.4", resume=True, listen=crash)
    result, _ = train(tmp_path / "run", resume=True)
    assert 85 <= result["steps"] <= 97


@pytest.mark.parametrize(
    ("setting", "path"),
    [
        ("recipe.batch_size=13", "recipe.batch_size"),
        ("recipe.optimizer.learning_rate=0.5", "recipe.optimizer.learning_rate"),
        ("width=32", "model.width"),
        ("recipe.seed=3", "recipe.seed"),
    ],
)
def test_what_differs_is_refused_by_its_path(tmp_path, train, setting, path):
    train(tmp_path / "run", "recipe.steps=3", stop_at=1)
    with pytest.raises(RunError, match=rf"{path} would differ.*another --out"):
        train(tmp_path / "run", setting, resume=True)
    train(tmp_path / "run", "recipe.batch_size=12", resume=True)


def test_a_changed_text_is_refused(tmp_path, train, text):
    train(tmp_path / "run", "recipe.steps=3", stop_at=1)
    content = text.read_text()
    text.write_text(content[:-1] + "Z")
    with pytest.raises(RunError, match="the data has changed since the run began"):
        train(tmp_path / "run", resume=True)
    text.write_text(content)
    assert train(tmp_path / "run", resume=True)[0]["finished"]


def test_whether_to_compile_does_not_depend_on_how_far_a_run_is(small):
    cpu = torch.device("cpu")
    assert compile_wanted(small("recipe.steps=3", "recipe.compile=on").recipe, cpu)
    assert not compile_wanted(small("recipe.steps=9999", "recipe.compile=off").recipe, cpu)
    assert not compile_wanted(small("recipe.steps=1499", "recipe.compile=auto").recipe, cpu)
    able = {
        compile_wanted(small(f"recipe.{long}", "recipe.compile=auto").recipe, cpu)
        for long in ("steps=1500", "minutes=4")
    }
    assert len(able) == 1
