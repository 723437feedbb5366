"""Graduation: a right Llama block carries small models and one in Hugging Face's form; wrong ones are told."""

import dataclasses
import json

import pytest
import torch

from oneblock.config import to_dict
from oneblock.config.errors import OneblockError
from oneblock.data.errors import DataError
from oneblock.learn.child.desk import Desk
from oneblock.learn.exercises import GRADUATION, NAMES, exercise_named, text_of
from oneblock.learn.exercises.graduation import checks
from oneblock.learn.grading import named
from oneblock.learn.judge import judge
from oneblock.learn.lab import Lab, stub
from oneblock.runs.convert import to_hugging_face
from oneblock.runs.weights import save_weights

EXERCISE = exercise_named(GRADUATION)
QUICK = dataclasses.replace(EXERCISE, checks=EXERCISE.checks[:2])
REFERENCE = text_of(GRADUATION, "reference")
WRONG = {
    "no mask": (".triu(1)", ".triu(99)"),
    "mask one off": (".triu(1)", ".triu(2)"),
    "no rope": ("q, k = rope(q, self.base, self.style), rope(k, self.base, self.style)", "q, k = q, k"),
    "rope on queries alone": ("rope(k, self.base, self.style)", "k"),
    "rope on values too": ("for part in (k, v))", "for part in (k, rope(v, self.base, self.style)))"),
    "another base": ("base ** (-torch", "10000.0 ** (-torch"),
    "always half": ('if style == "half"', 'if style != ""'),
    "rope the other way": ("angles = torch.arange", "angles = -torch.arange"),
    "positions from one": ("* frequencies\n", "* frequencies * 1.5\n"),
    "groups in turn": ("part.repeat_interleave(self.shared, dim=1)", "part.repeat(1, self.shared, 1, 1)"),
    "scale by the width": ("math.sqrt(self.head)", "math.sqrt(x.shape[-1])"),
    "eps outside": (".mean(dim=-1, keepdim=True) + self.eps)", ".mean(dim=-1, keepdim=True)) + self.eps"),
    "eps of its own": ("+ self.eps)", "+ 1e-5)"),
    "layer norm": ("x.square().mean", "(x - x.mean(-1, keepdim=True)).square().mean"),
    "gate and up the other way round": ("F.silu(self.gate(x)) * self.up(x)", "self.gate(x) * F.silu(self.up(x))"),
    "gelu": ("F.silu(", "F.gelu("),
    "no residual": ("x = x + self.attention", "x = self.attention"),
    "parallel": ("return x + self.feed_forward(self.norm2(x))", "return x + self.feed_forward(self.norm2(first))"),
    "one norm twice": ("self.feed_forward(self.norm2(x))", "self.feed_forward(self.norm1(x))"),
    "biases": ("nn.Linear(hidden, width, bias=False)", "nn.Linear(hidden, width)"),
}


def graded(text, exercise=QUICK):
    names: dict = {}
    exec(text, names)
    return judge(exercise, Desk(names).answer, seed=3)


def test_the_reference_passes_and_so_does_another_layout():
    assert graded(REFERENCE).passed
    other = REFERENCE.replace("self.gate", "self.w1").replace("self.norm1", "self.ln_1")
    said = '\n\ndef mapping():\n    return {"feed_forward.gate": "feed_forward.w1", "norm1": "ln_1"}\n'
    assert graded(other + said).passed and "norm1" in graded(other).root.message


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_one_fails(name):
    old, new = WRONG[name]
    text = REFERENCE.replace(old, new)
    if name == "parallel":
        text = text.replace("        x = x + self.attention(", "        first = x\n        x = x + self.attention(")
    assert text != REFERENCE and graded(text).root.id in ("causal", "small")


def test_shapes_that_do_not_fit_are_told_both_ways():
    message = graded(REFERENCE.replace("nn.Linear(width, sum(self.sizes)", "nn.Linear(width, 3 * width")).root.message
    assert "attention.qkv.weight is [72, 24] in yours and [40, 24] in the model" in message
    message = graded(REFERENCE.replace("nn.Linear(hidden, width, bias=False)", "nn.Linear(hidden, width)")).root.message
    assert "yours has feed_forward.down.bias, the model has no such parameter" in message


class Letters:
    def encode(self, text):
        return [ord(letter) % 13 for letter in text]


@pytest.fixture
def other_folder(tmp_path, monkeypatch):
    """A small model with random weights, as Hugging Face lays one out, in the place of the real one."""
    config = checks.small_config("width=24", "block.attention.num_heads=6", "block.attention.num_kv_heads=2")
    model = checks.randomised(config, torch.Generator().manual_seed(1))
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(to_dict(config)))
    save_weights(tmp_path / "run", "kept", model.state_dict(), {})
    to_hugging_face(tmp_path / "run", tmp_path / "hf")
    monkeypatch.setattr(checks, "locate_model", lambda name: tmp_path / "hf")
    monkeypatch.setattr(checks, "load_tokenizer", lambda path: Letters())
    assert json.loads((tmp_path / "hf" / "config.json").read_text())["model_type"] == "llama"


def test_weights_in_hugging_faces_form_are_carried(other_folder):
    whole = dataclasses.replace(EXERCISE, checks=(dataclasses.replace(EXERCISE.checks[2], needs=()),))
    assert graded(REFERENCE, whole).passed
    root = graded(REFERENCE.replace("F.silu(", "F.gelu("), whole).root
    assert root.id == "real" and "the logits are" in root.message and "the stream after block 0" in root.message


def test_where_the_real_weights_cannot_be_had_it_says_so(monkeypatch):
    def gone(name):
        raise DataError(f"the model {name!r} is not here")

    monkeypatch.setattr(checks, "locate_model", gone)
    root = graded(REFERENCE, EXERCISE).root
    assert root.id == "real" and "Up to here your block is right. SmolLM2 itself cannot be had here" in root.message


def test_it_is_in_the_folder_and_no_exercise_of_the_order(tmp_path, monkeypatch):
    lab = Lab(tmp_path / "my_transformer")
    assert GRADUATION not in lab.make() and GRADUATION not in NAMES
    assert lab.text(GRADUATION) == stub(GRADUATION) and "from .llama import rope" in stub(GRADUATION)
    assert "graduation.py" in (lab.folder / "__init__.py").read_text()
    monkeypatch.chdir(tmp_path)
    assert named(GRADUATION, None)[1] == lab.path(GRADUATION)
    with pytest.raises(OneblockError, match="graduation"):
        named("graduate", None)
