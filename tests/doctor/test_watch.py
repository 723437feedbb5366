"""Watching a training: what is recorded, what is warned of, and that nothing stays in the model."""

import json
import math

import doctor_zoo as zoo
import pytest
import torch
import torch.nn.functional as F

import oneblock
from oneblock.doctor import watch
from oneblock.doctor.alarms import Alarms
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.restore import fingerprint

LISTS = ("stream", "max_logit", "entropy", "grad_norms", "updates")


def loss_of(model, x):
    answer = model(x, labels=x) if hasattr(model, "wpe") else model(x)
    return answer.loss if hasattr(answer, "loss") else F.cross_entropy(answer[:, :-1].flatten(0, 1), x[:, 1:].flatten())


def trained(model, steps, watcher=None, *, rate=1e-3, rows=5, length=11, zero_first=False, parts=1):
    torch.manual_seed(3)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    model.train()
    for n in range(steps):
        for part in range(parts):
            x = torch.randint(0, 19, (rows, length), generator=torch.Generator().manual_seed(97 * n + part))
            loss = loss_of(model, x) / parts
            loss.backward()
        optimizer.step()
        if zero_first:
            optimizer.zero_grad()
        if watcher is not None:
            watcher.step(loss.detach())
        optimizer.zero_grad()
    return model


@pytest.mark.parametrize("make", [lambda: zoo.ill("Gpt", ""), lambda: zoo.preset("llama-nano")])
def test_looks_come_and_go(make):
    model = make().train()
    before = fingerprint(model)
    with watch(model, every=3) as watcher:
        assert fingerprint(model) == before
        trained(model, 7, watcher)
    assert [each["step"] for each in watcher.records] == [3, 6]
    first, second = watcher.records
    assert set(second) == {"step", "loss", "grad_norm", *LISTS} and "updates" not in first
    assert [len(second[name]) for name in LISTS] == [3, 2, 2, 3, 3]
    assert all(value > 0 for name in LISTS for value in second[name])
    after = fingerprint(model)
    hooks = [name for name in before if name.startswith("mode and hooks")]
    assert hooks and all(after[name] == before[name] for name in hooks)


def test_training_goes_as_without_it():
    plain, watched = (zoo.preset("switch-nano") for _ in range(2))
    trained(plain, 4)
    with watch(watched, every=2) as watcher:
        trained(watched, 4, watcher)
    assert len(watcher.records) == 2
    for a, b in zip(plain.state_dict().values(), watched.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    # The random numbers of what comes next are the same too.
    assert torch.equal(torch.rand(3), (trained(zoo.preset("switch-nano"), 4), torch.rand(3))[1])


def test_what_is_recorded_is_what_is_there():
    """Gradients of an accumulation, met before zero_grad; how far one step has moved the weights."""
    model = zoo.ill("Gpt", "")
    with watch(model, every=1) as watcher:
        trained(model, 1, watcher, parts=2)
        for part in range(2):
            x = torch.randint(0, 19, (5, 11), generator=torch.Generator().manual_seed(part))
            (loss_of(model, x) / 2).backward()
        wanted = [
            math.sqrt(sum(float(p.grad.square().sum()) for p in block.parameters() if p.grad is not None))
            for block in model.blocks
        ]
        before = [torch.cat([p.detach().flatten().clone() for p in block.parameters()]) for block in model.blocks]
        torch.optim.SGD(model.parameters(), lr=0.1).step()
        model.zero_grad()
        record = watcher.step()
        moved = [
            float((torch.cat([p.detach().flatten() for p in block.parameters()]) - old).norm() / old.norm())
            for block, old in zip(model.blocks, before, strict=True)
        ]
    assert record["grad_norms"][:2] == pytest.approx(wanted, rel=1e-5)
    assert record["grad_norm"] == pytest.approx(math.hypot(*record["grad_norms"]), rel=1e-5)
    assert record["updates"][:2] == pytest.approx(moved, rel=1e-5)
    x = torch.randint(0, 19, (5, 11), generator=torch.Generator().manual_seed(0))[:1]
    seen = oneblock.doctor.watch(model, every=1, tell=lambda words: None)
    model(x)
    stream = seen.step()["stream"]
    seen.close()
    given = []
    handle = model.blocks[0].register_forward_pre_hook(lambda module, args: given.append(args[0]))
    model(x)
    handle.remove()
    assert stream[0] == pytest.approx(float(given[0].detach().square().mean().sqrt()), rel=1e-6)


def test_a_long_text_is_cut():
    model = oneblock.build(
        oneblock.override(oneblock.presets.nano(), "width=24", "num_layers=2", "context=700", "vocab_size=29"), seed=0
    )
    with watch(model, every=1, tell=lambda words: None) as watcher:
        model(torch.zeros(3, 613, dtype=torch.long))
        assert watcher._call[0][0].shape == (1, 256)
        assert "stream" in watcher.step()


def test_the_log_is_lines_of_json(tmp_path):
    model = zoo.ill("Gpt", "")
    with watch(model, every=2, log=tmp_path / "watch.jsonl", tell=lambda words: None) as watcher:
        trained(model, 2, watcher)
        with torch.no_grad():
            model.head.weight.fill_(math.nan)
        trained(model, 2, watcher)
    lines = [json.loads(line) for line in (tmp_path / "watch.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert lines[0]["stream"] == watcher.records[0]["stream"] and lines[1]["loss"] is None
    assert any("the loss is nan" in words for words in watcher.alarms)


def test_a_sick_training_is_told_early():
    told = []
    model = zoo.ill("Gpt", "no scale")
    with torch.no_grad():
        model.blocks[1].attn.qkv.weight.mul_(12)
    with watch(model, every=2, tell=told.append) as watcher:
        trained(model, 6, watcher)
    assert len([words for words in told if "largest attention logit" in words and "attention 1" in words]) == 1
    assert told[0].startswith("step 2: ") and list(watcher.alarms) == [words.partition(": ")[2] for words in told]
    with pytest.warns(RuntimeWarning, match="largest attention logit"), watch(model, every=1) as watcher:
        trained(model, 1, watcher)


def test_a_healthy_training_is_not_disturbed():
    model = zoo.preset("nano")
    with watch(model, every=1) as watcher:
        trained(model, 12, watcher, rate=0.3)
    assert not watcher.alarms and len(watcher.records) == 12


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stream": [1.0, 1.0, 9.1]}, "stream after the last block is 9.1 times"),
        ({"grad_norms": [31.0, 1.0, 1.0]}, "gradient of block 0 is 31 times"),
        ({"grad_norms": [1.0, 1.0, 31.0]}, "gradient of what is outside the blocks"),
        ({"updates": [0.01, 0.31, 0.01]}, "one step moves block 1 by 31%"),
        ({"entropy": [0.5, 0.01]}, "attention 1 looks at one token only"),
        ({"max_logit": [math.nan, 1.0]}, "max_logit is not finite, first at attention 0"),
        ({"loss": math.inf}, "the loss is inf"),
    ],
)
def test_alarms(change, said):
    usual = {
        "loss": 2.0,
        "stream": [1.0, 1.0, 1.0],
        "max_logit": [1.0, 1.0],
        "entropy": [0.5, 0.5],
        "grad_norms": [1.0, 1.0, 1.0],
        "updates": [0.01, 0.01, 0.01],
    }
    alarms, records = Alarms(), [usual] * 5
    assert not [words for n in range(5) for words in alarms.of(usual, records[: n + 1])]
    found = alarms.of(usual | change, [*records, usual | change])
    assert len(found) == 1 and said in found[0]
    # Once is enough.
    assert not alarms.of(usual | change, [*records, usual | change])


def test_wrappers_and_bad_input():
    model = zoo.ill("Gpt", "")
    wrapped = torch.compile(model, backend="eager")
    with watch(wrapped, every=1, tell=lambda words: None) as watcher:
        wrapped(torch.zeros(2, 5, dtype=torch.long))
        assert len(watcher.step()["stream"]) == 3
    with pytest.raises(DoctorError, match="every=0"):
        watch(model, every=0)
    with pytest.raises(DoctorError, match="is a str"):
        watch("model")
    with pytest.raises(DoctorError, match="closed"):
        watcher.step()


def test_a_model_that_cannot_be_run_again_is_said():
    model = zoo.ill("Gpt", "")

    def once(module, args):
        if not module.training:
            raise RuntimeError("only in training")

    model.register_forward_pre_hook(once)
    with watch(model, every=1, tell=lambda words: None) as watcher:
        trained(model, 1, watcher)
    assert watcher.records[0]["not_seen"] == "RuntimeError: only in training" and model.training
