"""Which models share one compiled step. That it computes the right thing is in `test_step.py`."""

import shutil

import pytest
import torch

from oneblock.decoding import compiled as room
from oneblock.decoding.compiled import compiled, structure
from oneblock.decoding.step import Fixed, Plain, one_token
from oneblock.nn.int8 import to_int8


@pytest.fixture
def made(monkeypatch):
    """Instead of compiling: what was asked of the compiler."""
    asked = []
    monkeypatch.setattr(torch, "compile", lambda step, **settings: asked.append(settings) or step)
    room._compiled.cache_clear()
    yield asked
    room._compiled.cache_clear()


def test_models_of_one_structure_share_it(made, tiny):
    step = compiled(one_token, tiny(), 1, 8)
    assert compiled(one_token, tiny(), 1, 8) is step and len(made) == 1
    others = [tiny("alibi"), tiny(window=3), tiny(fused=False), tiny(scale=0.3), tiny().float()]
    steps = {id(compiled(one_token, other, 1, 8)) for other in others} | {id(compiled(one_token, tiny(), 2, 8))}
    assert len(steps) == 6 and id(step) not in steps


def test_every_one_has_a_code_object_of_its_own(made, tiny):
    """torch.compile files what it made under the code object: two without guards must not share one."""
    one, other = (compiled(one_token, tiny(), 1, capacity).__code__ for capacity in (8, 16))
    assert one is not other and one_token.__code__ is not one and one_token.__code__ is not other


def test_a_model_with_hooks_keeps_its_guards(made, tiny):
    model = tiny()
    handle = model.blocks[0].register_forward_hook(lambda *_: None)
    compiled(one_token, model, 1, 8)
    handle.remove()
    compiled(one_token, model, 1, 8)
    assert ["guard_filter_fn" in settings["options"] for settings in made] == [False, True]


def test_only_guards_about_the_model_are_left_out():
    class Guard:
        def __init__(self, name):
            self.name = name

    names = ["L['model'].blocks", "L['model']", "L['ids_B']", "L['cache'][0][1]", "", "G['torch']"]
    assert room._without_the_model([Guard(name) for name in names]) == [False, False, True, True, True, True]


def test_structure_is_of_the_shapes_and_not_of_the_numbers(tiny):
    one, other = tiny(), tiny()
    with torch.no_grad():
        other.embedding.weight.zero_()
    assert structure(one) == structure(other) and hash(structure(one)) == hash(structure(other))


def test_structure_is_of_how_tensors_lie_and_of_buffers(tiny):
    """Nothing guards them in what is compiled: read as another's, they would be read wrongly."""
    one, other = tiny(), tiny()
    weight = other.blocks[0].attention.output.weight
    weight.data = weight.data.mT.contiguous().mT
    assert repr(one) == repr(other) and structure(one) != structure(other)
    one, other = to_int8(tiny()), to_int8(tiny())
    assert structure(one) == structure(other)
    other.head.scale = other.head.scale.double()
    assert structure(one) != structure(other)


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="torch.compile needs a compiler")
def test_the_second_model_computes_with_its_own_weights(tiny):
    one, other = tiny(context=23), tiny(context=23)
    with torch.no_grad():
        for weight in other.parameters():
            weight.mul_(0.7)
    tokens = torch.tensor([[1, 5, 2]])
    for model in (one.eval(), other.eval(), one.float()):
        with torch.inference_mode():
            steppers = [make(model, 1, 15, None) for make in (Plain, Fixed)]
            begun = [stepper.start(tokens, None).clone() for stepper in steppers]
            torch.testing.assert_close(*begun)
            for token in (3, 7, 0):
                torch.testing.assert_close(*[stepper.next(torch.tensor([token])).clone() for stepper in steppers])
