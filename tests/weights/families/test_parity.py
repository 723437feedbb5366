"""Every family against its own class in transformers: made from a small configuration, saved, loaded by name alone."""

import importlib.util
from pathlib import Path

import pytest
import torch

from oneblock.runs.convert import to_hugging_face
from oneblock.weights.reading import open_checkpoint
from oneblock.weights.writing import express

pytestmark = pytest.mark.peers
HERE = Path(__file__).parent


def load(name):
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


parity = load("parity")
CASES = parity.cases()


@pytest.mark.parametrize("name", CASES)
def test_equal_logits(name, tmp_path):
    found = parity.measure(CASES[name], tmp_path)
    assert found.pop("parameters") > 1000
    assert found.pop("float32") < 1e-5
    assert {what: error for what, error in found.items() if not error < 1e-10} == {}


@pytest.mark.parametrize("name", CASES)
def test_in_and_out_gives_the_same_tensors(name, tmp_path):
    case = CASES[name]
    if not case.get("out", True):
        pytest.skip("this form is only read")
    parity.saved(parity.reference(case), case, tmp_path)
    checkpoint = open_checkpoint(tmp_path)
    said = express(checkpoint.config)
    assert said.fields["model_type"] == case.get("out_as", checkpoint.family.model_type)
    theirs = dict(said.tensors(checkpoint.tensors()))
    assert theirs.keys() == checkpoint.source.shapes.keys() - set(checkpoint.left_aside)
    for key, tensor in theirs.items():
        assert torch.equal(tensor, checkpoint.source.get(key)), key
    assert checkpoint.unread == []


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_its_class_loads_what_goes_out(name, tmp_path):
    import transformers

    case = CASES[name]
    if not case.get("out", True):
        pytest.skip("this form is only read")
    model = parity.reference(case)
    parity.saved(model, case, tmp_path / "in")
    made = to_hugging_face(tmp_path / "in", tmp_path / "out")
    auto = getattr(transformers, case.get("auto", "AutoModelForCausalLM"))
    theirs, ours = case.get("call") or parity.KINDS[case.get("kind", "decoder")]
    ids = case["inputs"](case) if "inputs" in case else parity.tokens(case)
    with parity.Lifted():
        again, loading = auto.from_pretrained(made.path, attn_implementation="eager", output_loading_info=True)
        again.config._experts_implementation = "eager"
        # What we have no part for, such as a pooler, cannot go out.
        assert loading["missing_keys"] <= set(made.left_aside)
        assert not loading["unexpected_keys"]
        # A table that its class makes anew as it loads (Marian's sines) is in float32.
        assert parity.apart(theirs(again.eval(), ids)[0], theirs(model, ids)[0]) < 1e-8
