"""What is named: files, wrappers, adapters; what hangs, grows, dies or would need trust; what is asked again."""

import shlex
import sys
import time
from pathlib import Path

import doctor_blind as blind
import doctor_zoo as zoo
import pytest
import torch
from torch import nn

import oneblock
import oneblock.doctor
from oneblock.cli.main import main
from oneblock.doctor import examine
from oneblock.doctor.checks import CHECKS
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.examine import expectations
from oneblock.doctor.factory import TookTooLong, tried, within
from oneblock.doctor.opening import open_target
from oneblock.doctor.wrapping import unwrapped

FILE = """
import sys, time
def raises():
    answer = {}
    return answer["a key"]
def hangs():
    time.sleep(60)
def eats():
    kept = []
    while True:
        kept.append(bytearray(10**7))
def exits():
    sys.exit(3)
def dies():
    import os
    os._exit(5)
def nothing():
    return None
def prints():
    print("some words")
    import torch
    return torch.nn.Sequential(torch.nn.Embedding(7, 5), torch.nn.Linear(5, 7))
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    return path


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("raises", r"KeyError: 'a key' \(line \d+: return answer\[.a key.\]\)"),
        ("exits", r"called sys.exit\(3\) \(line \d+: sys.exit\(3\)\)"),
        ("dies", "ended its process .exit status 5"),
    ],
)
def test_a_factory_that_fails_is_said_with_its_own_line(file, name, says):
    with pytest.raises(DoctorError, match=says):
        open_target(f"{file}:{name}")


def test_a_factory_that_hangs_or_grows_is_stopped(file):
    begun = time.monotonic()
    with pytest.raises(DoctorError, match="did not come back within 1 seconds"):
        tried(file, "hangs", seconds=1.0)
    with pytest.raises(DoctorError, match="took more than 0.2 GB"):
        tried(file, "eats", most_bytes=200 * 2**20)
    assert time.monotonic() - begun < 30


def test_what_a_factory_prints_does_not_reach_the_answer(file, capsys):
    assert main(["doctor", f"{file}:prints", "--only", "E1", "--json"]) == 0
    shown = capsys.readouterr()
    assert "some words" not in shown.out and "some words" in shown.err
    assert shown.out.count("\n") == 1


@pytest.mark.parametrize(("name", "says"), [("nothing", "gives None"), ("missing", "has no missing; it has raises")])
def test_a_factory_that_gives_nothing_is_said(file, name, says):
    with pytest.raises(DoctorError, match=says):
        open_target(f"{file}:{name}")


def test_bad_targets_end_with_2(file, tmp_path, capsys):
    assert main(["doctor", f"{file}:exits"]) == 2
    assert main(["doctor", str(tmp_path / "nowhere")]) == 2
    assert main(["doctor", str(file)]) == 2
    assert "say which function gives the model" in capsys.readouterr().err


def test_a_forward_that_hangs_is_stopped(monkeypatch):
    class Hangs(nn.Module):
        def forward(self, ids):
            while True:
                time.sleep(0.01)

    monkeypatch.setattr(sys.modules["oneblock.doctor.examine"], "SECONDS", 0.3)
    with pytest.raises(DoctorError, match="does not answer: it took more than 0.3 seconds"):
        examine(Hangs())


def test_an_alarm_of_somebody_else_goes_on():
    with pytest.raises(TookTooLong), within(0.2), within(5.0):
        time.sleep(1.0)


def test_a_pickle_needs_trust(tmp_path):
    path = tmp_path / "ckpt.pt"
    torch.save({"model": nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 7))}, path)
    with pytest.raises(DoctorError, match="if you trust it: --trust"):
        open_target(str(path))
    assert examine(str(path), only=["E1"], trust=True).healthy


def test_code_that_came_with_weights_needs_trust(tmp_path):
    pytest.importorskip("transformers")
    (tmp_path / "config.json").write_text('{"model_type": "mine", "auto_map": {"AutoModel": "mine.Mine"}}')
    with pytest.raises(DoctorError, match="a program of its own.*--trust"):
        open_target(str(tmp_path))


def test_wrappers_are_opened_or_refused():
    inside = zoo.ill("Gpt", "")
    compiled = torch.compile(inside)
    assert unwrapped(compiled) == (inside, "taken out of OptimizedModule")
    assert unwrapped(nn.DataParallel(inside))[0] is inside
    assert "taken out of" in examine(compiled, only=["E1"]).called
    with torch.device("meta"), pytest.raises(DoctorError, match="meta device"):
        examine(nn.Linear(3, 5))
    sharded = type("FullyShardedDataParallel", (nn.Module,), {})()
    with pytest.raises(DoctorError, match="FSDP"):
        examine(sharded)


def test_a_model_in_bfloat16_is_examined():
    assert examine(blind.ill("").bfloat16(), only=["C1", "K1", "R1", "W2"]).healthy
    assert not examine(blind.ill("only keys rotated").bfloat16(), only=["R1"]).healthy


def test_what_reproduces_reproduces(tmp_path, capsys):
    model = blind.ill("only keys rotated")
    (found,) = examine(model, only=["R1"], expect=["causal"], seed=3).checks
    (again,) = eval(found.reproduce, {"oneblock": oneblock, "model": model}).checks
    assert again == found and found.status == "FAIL"
    path = tmp_path / "my model.py"
    beside = str(Path(blind.__file__).parent)
    head = f"import sys\nsys.path.insert(0, {beside!r})\nimport doctor_blind\n"
    path.write_text(f"{head}def broken():\n    return doctor_blind.ill('only keys rotated')\n")
    (found,) = examine(f"{path}:broken", only=["R1"]).checks
    program, *words = shlex.split(found.reproduce)
    assert program == "oneblock" and main(words) == 1
    assert found.message in capsys.readouterr().out


def test_ids_are_those_of_the_catalogue():
    catalogue = """C1 C2 C3 C4 C5 K1 K2 K3 P1 P2 B1 R0 R1 R3 G1 N1 N2 A1 A2 A3 A4 A5 H1 I1 I2 I3 W1 W2 W3 W4 L1 L2
    E1 E2 D1 D2 D3 M1 O1 O2 X1 F1"""
    assert set(CHECKS) == {*catalogue.split(), "R2"}  # R2: the whole context, of our own


def test_expectations():
    assert expectations(["window=128", "packed"]) == {"window": "128", "packed": "yes"}
    for words, says in ((["tied", "untied"], "cannot both"), (["window=0"], "cannot be expected")):
        with pytest.raises(DoctorError, match=says):
            expectations(words)
    wide = blind.ill("", window=5)
    wide.config.sliding_window = None
    assert examine(wide, only=["C4"]).checks[0].status == "WARN"
    assert examine(wide, only=["C4"], expect=["window=5"]).checks[0].status == "PASS"
    assert examine(wide, only=["C4"], expect=["window=6"]).checks[0].status == "FAIL"
    assert examine(blind.ill(""), only=["R1"], expect=["relative"]).healthy
    assert not examine(zoo.ill("Gpt", ""), only=["R1"], expect=["relative"]).healthy
    assert not examine(zoo.ill("Gpt", "tied"), only=["W1"], expect=["untied"]).healthy
    assert not examine(zoo.ill("Gpt", ""), only=["C5"], expect=["packed"]).healthy


class Adapter:
    """All that an adapter may have."""

    def __init__(self, fault="", step=""):
        self.module, self.vocab_size, self.max_len, self.step = blind.ill(fault), 31, 40, step
        self.expects = ["causal"]
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=0.0 if step == "no step" else 0.02)
        self.variants = {"again": self._other}

    def _other(self, ids, **more):
        return self.module(ids).logits * (1.01 if self.step == "variant" else 1.0)

    def logits(self, ids, mask=None, positions=None, cache=None):
        answer = self.module(ids, None if mask is None else mask.long(), cache, use_cache=True)
        return answer.logits, answer.past_key_values

    def loss(self, ids, labels):
        return self.module(ids, labels=labels).loss

    def blocks(self):
        return self.module.blocks

    def train_step(self, ids):
        if self.step != "gradients kept":
            self.optimizer.zero_grad()
        loss = self.module(ids, labels=ids).loss
        loss.backward()
        self.optimizer.step()
        return loss


def test_an_adapter_with_all_its_names():
    report = examine(Adapter(), only=["C1", "C3", "C4", "K1", "L1", "P1", "O2"])
    assert {each.id: each.status for each in report.checks if each.status in ("FAIL", "WARN", "SKIP")} == {}, report
    assert report.kind == "causal"
    assert not examine(Adapter("keys begin anew with a cache"), only=["K1"]).healthy
    assert not examine(Adapter(step="variant"), only=["C3"]).healthy
    for step in ("no step", "gradients kept"):
        assert not examine(Adapter(step=step), only=["O2"]).healthy
