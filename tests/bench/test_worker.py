"""Arms prepared and timed in this process, tiny; and one race in processes of their own."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from oneblock.bench import measure as measuring
from oneblock.bench import ours, worker
from oneblock.bench.job import Arm, BenchError, Job, job_from_dict, without_chance
from oneblock.bench.measure import measure
from oneblock.config import override, presets

# Written for these tests: the interface of a nanoGPT checkout around one small network.
CHECKOUT = """
from dataclasses import dataclass
import torch
from torch import nn

@dataclass
class GPTConfig:
    block_size: int; vocab_size: int; n_layer: int; n_head: int; n_embd: int; dropout: float; bias: bool

class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        print("a line on stdout")
        assert config.dropout == 0 and config.bias is False
        D = config.n_embd
        tables = dict(wte=nn.Embedding(config.vocab_size, D), wpe=nn.Embedding(config.block_size, D))
        self.transformer = nn.ModuleDict(tables)
        self.layers = nn.ModuleList(nn.Linear(EXTRA * D, D, bias=False) for _ in range(12 * config.n_layer))
        self.gains = nn.Parameter(torch.ones((2 * config.n_layer + 1) * D))
    def forward(self, x, targets=None):
        h = self.transformer.wte(x)
        for layer in self.layers:
            h = h + layer(h.repeat(1, 1, EXTRA))
        logits = (h * self.gains.mean()) @ self.transformer.wte.weight.T
        if targets is None:
            return logits, None
        return logits, nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    def configure_optimizers(self, weight_decay, learning_rate, betas, device_type):
        return torch.optim.AdamW(self.parameters(), lr=learning_rate, betas=betas, weight_decay=weight_decay)
    def generate(self, x, new):
        for _ in range(new):
            x = torch.cat([x, self(x)[0][:, -1:].argmax(-1)], 1)
        return x
"""


def tiny(kind="train", path=None):
    config = override(
        without_chance(presets.preset("nano")),
        "vocab_size=61",
        "width=64",
        "num_layers=2",
        "context=23",
        "block.attention.num_heads=2",
    )
    return Job(kind=kind, config=config, batch=3, prompt=5, new=7, threads=1, device="cpu", path=path)


def checkout(folder, extra=1):
    (folder / "model.py").write_text(f"EXTRA = {extra}\n{CHECKOUT}")
    return str(folder)


def prepared(job, **arm):
    one = worker.Worker()
    facts = worker.answer(one, {"do": "prepare", "job": job.to_dict(), "arm": Arm(**arm).to_dict()})
    return one, facts


def test_a_job_goes_through_json_unchanged():
    job = tiny("generate", "somewhere")
    assert job_from_dict(json.loads(json.dumps(job.to_dict()))) == job


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_our_training_step_is_timed_and_proved(precision):
    job = replace(tiny(), config=override(tiny().config, f"recipe.precision={precision}"))
    one, facts = prepared(job, rival="oneblock", name="eager", precision="compute", options={"keep_memory": False})
    assert facts["gradient_error"] < {"float32": 1e-5, "bfloat16": 0.05}[precision]
    assert facts["computes"] == precision
    turn = one.turn(0.01)
    assert turn["steps"] >= 2
    assert turn["tokens_per_second"] == pytest.approx(turn["steps"] * 3 * 23 / turn["seconds"])
    assert turn["later_per_second"] is None


def test_another_preset_does_the_same_work_by_the_same_recipe():
    job = replace(tiny(), config=override(tiny().config, "recipe.optimizer=adamw", "recipe.precision=float32"))
    other = job.of("switch-nano")
    assert other.model.blocks[1].feed_forward.num_experts == 8 and other.config.recipe == job.config.recipe
    assert (other.model.context, other.model.vocab_size, other.batch) == (23, 61, 3)
    assert job.of("hf") is job


@pytest.mark.parametrize("experts", ["switch", "gshard", "top_k"])
def test_a_mixture_is_proved_with_its_auxiliary_losses(experts):
    settings = (f"block.feed_forward={experts}", "block.feed_forward.num_experts=3", "recipe.precision=float32")
    # In one group of the whole batch the reference, a few rows at a time, would be another sum.
    sizes = () if experts == "top_k" else ("block.feed_forward.group_size=23",)
    config = without_chance(override(tiny().config, *settings, *sizes))
    how = {"rival": "oneblock", "name": "eager", "precision": "compute", "options": {"keep_memory": False}}
    _, facts = prepared(replace(tiny(), config=config), **how)
    assert facts["gradient_error"] < 1e-4


def test_a_step_trains(monkeypatch):
    losses = []
    measured = ours.Gradients.__call__

    def noting(self, *batch, step):
        losses.append(float(measured(self, *batch, step=step)))
        return torch.tensor(losses[-1])

    monkeypatch.setattr(ours.Gradients, "__call__", noting)
    one, _ = prepared(tiny(), rival="oneblock", name="eager", precision="compute", options={"keep_memory": False})
    for _ in range(5):
        one.contestant.step()
    assert losses[-1] < losses[0] - 0.1


def test_wrong_gradients_are_not_believed(monkeypatch):
    monkeypatch.setattr(ours, "cross_entropy", lambda logits, targets: logits.sum())
    _, facts = prepared(tiny(), rival="oneblock", name="eager", precision="compute", options={"keep_memory": False})
    assert "its speed means nothing" in facts["error"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_our_decoding_is_timed_and_proved(precision):
    one, facts = prepared(tiny("generate"), rival="oneblock", name="plain", precision=precision)
    assert 1e-9 < facts["logit_error"] < {"float32": 1e-5, "bfloat16": 0.05}[precision]
    size = {"float32": 4, "bfloat16": 2}[precision]
    parameters = sum(p.numel() for p in ours.build(tiny().config).parameters())
    # Weights once; three rows of 5 + 0…6 positions, 2 layers, keys and values of 64 numbers.
    assert facts["bytes_per_step"] == size * (parameters + 3 * 8 * 2 * 2 * 64)
    turn = one.turn(0.01)
    # 3 × 7 tokens a text, of which 3 wait for the prompt.
    assert turn["tokens_per_second"] == pytest.approx(turn["steps"] * 21 / turn["seconds"])
    assert len(one.contestant.later) == turn["steps"] and sum(one.contestant.later) < turn["seconds"]
    assert turn["later_per_second"] == pytest.approx(turn["steps"] * 18 / sum(one.contestant.later))


def test_weights_in_8_bits_are_counted_as_they_are_read():
    _, facts = prepared(tiny("generate"), rival="oneblock", name="plain", precision="int8")
    assert 1e-4 < facts["logit_error"] < 0.1
    model = ours.build(tiny().config)
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2]
    gains = sum(p.numel() for p in model.parameters() if p.dim() == 1)
    # Each matrix's numbers and a scale for each row; the table once, as the tied head.
    weights = sum(matrix.numel() + 4 * len(matrix) for matrix in matrices)
    assert facts["bytes_per_step"] == weights + 2 * (gains + 3 * 8 * 2 * 2 * 64)


def test_a_wrong_cache_is_not_believed(monkeypatch):
    right = ours.Plain.start

    def forgetful(self, tokens, padding):
        logits = right(self, tokens, padding)
        self.cache.keys[1].zero_()
        return logits

    monkeypatch.setattr(ours.Plain, "start", forgetful)
    _, facts = prepared(tiny("generate"), rival="oneblock", name="plain")
    assert "its logits are off" in facts["error"]


@pytest.mark.parametrize("kind", ["train", "generate"])
@pytest.mark.parametrize("precision", ["float32", "autocast"])
def test_a_checkout_runs_as_it_is(tmp_path, kind, precision):
    one, facts = prepared(tiny(kind, checkout(tmp_path)), rival="nanoGPT", name="a", precision=precision)
    assert "error" not in facts
    if kind == "train":
        assert (facts["gradient_error"] is None) == (precision == "float32")
    assert facts["flops_per_token"] == pytest.approx(ours.flops_per_token(tiny().config), rel=0.02)
    assert one.turn(0.01)["tokens_per_second"] > 0


@pytest.mark.parametrize(
    ("text", "words"), [("import no_such_module_7919", "cannot be imported"), ("GPT = 1", "has no GPTConfig")]
)
def test_another_model_file_is_refused(tmp_path, text, words):
    (tmp_path / "model.py").write_text(text)
    _, facts = prepared(tiny(path=str(tmp_path)), rival="nanoGPT", name="a")
    assert facts["refused"] and words in facts["error"]


def test_a_crash_is_an_answer(tmp_path):
    (tmp_path / "model.py").write_text("class GPTConfig:\n    pass\nGPT = None")
    _, facts = prepared(tiny(path=str(tmp_path)), rival="nanoGPT", name="a")
    assert facts["refused"] is False and "TypeError" in facts["error"]


def test_a_race_in_processes_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "LIMITS_SECONDS", 0.01)
    # Without a compiler the compiled arms are left out, which is nothing wrong.
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(measuring, "rival_arms", lambda *_: [Arm(rival="nanoGPT", name="a", default=True)])
    measured = measure(tiny(path=None), [checkout(tmp_path)], rounds=2, seconds=0.02)
    assert all(entry.limits == measured.peaks for entry in measured.entries if entry.rates)
    assert len(measured.peaks) == len(measured.bandwidths) == 2 and min(measured.peaks) > 0
    rates = {(entry.arm.rival, entry.arm.name): len(entry.rates) for entry in measured.entries}
    assert rates == {("oneblock", "eager"): 2, ("oneblock", "compiled"): 0, ("nanoGPT", "a"): 2}
    left_out = measured.of("oneblock")[1]
    assert "no C++ compiler" in left_out.why and not left_out.wrong


def test_a_model_of_another_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "our_arms", lambda *_, **__: [])
    monkeypatch.setattr(measuring, "rival_arms", lambda *_: [Arm(rival="nanoGPT", name="a", default=True)])
    with pytest.raises(BenchError, match=r"nanoGPT's model takes .* MFLOP a token and ours .*beyond 2%"):
        measure(tiny(), [checkout(tmp_path, extra=2)], rounds=1, seconds=0.02)


def test_memory_is_read_beside_each_turn_of_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "LIMITS_SECONDS", 0.01)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(measuring, "rival_arms", lambda *_: [Arm(rival="nanoGPT", name="a", default=True)])
    measured = measure(tiny("generate"), [checkout(tmp_path)], rounds=2, seconds=0.02)
    plain = [entry for entry in measured.of("oneblock") if entry.rates]
    each = len(plain) + 1
    assert len(plain) > 1 and len(measured.bandwidths) == 2 * each
    for number in range(2):
        readings = measured.bandwidths[number * each : (number + 1) * each]
        pairs = [max(pair) for pair in pairwise(readings)]
        assert [entry.limits[number] for entry in plain] == pairs
    (rival,) = measured.of("nanoGPT")
    assert len(rival.limits) == len(rival.rates) == 2 and rival.later == []
    assert all(len(entry.later) == 2 for entry in plain)
