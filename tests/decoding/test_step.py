"""The step of fixed shapes: the same tokens as the plain one, compiled or not."""

import re

import pytest
import torch

from oneblock.decoding import generate as room
from oneblock.decoding.generate import generate
from oneblock.decoding.step import ROUND_TO, Fixed, Plain
from oneblock.nn import one_token


class Uncompiled(Fixed):
    compile = False


@pytest.mark.parametrize("position", ["none", "learned", "sinusoidal", "rope", "alibi", "t5"])
@pytest.mark.parametrize("window", [None, 3])
@pytest.mark.parametrize("fused", [True, False])
def test_fixed_shapes_give_the_same_tokens(tiny, prompts, monkeypatch, position, window, fused):
    model, (tokens, padding) = tiny(position, window, fused=fused), prompts
    monkeypatch.setattr(room, "Fixed", Uncompiled)
    for pads in (padding, None):
        plain = generate(model, tokens, 23, seed=5, padding=pads)
        assert torch.equal(plain, generate(model, tokens, 23, seed=5, padding=pads, compile=True))


def test_fixed_and_plain_logits_agree(tiny, prompts):
    model, (tokens, padding) = tiny(context=23, soft_cap=4.0), prompts
    model.eval()
    with torch.inference_mode():
        plain, fixed = (make(model, 3, 15, None) for make in (Plain, Uncompiled))
        torch.testing.assert_close(plain.start(tokens, padding), fixed.start(tokens, padding))
        for column in tokens.T[:5]:
            torch.testing.assert_close(plain.next(column), fixed.next(column), rtol=1e-12, atol=1e-12)


def test_capacity_is_rounded_up_within_the_context(tiny):
    assert Uncompiled(tiny(context=23), 2, 9, None).cache.capacity == 23
    assert Uncompiled(tiny(context=3 * ROUND_TO), 2, ROUND_TO + 1, None).cache.capacity == 2 * ROUND_TO


def test_what_layers_share_is_kept_once(tiny, monkeypatch):
    """Not for each layer: for each thing that they share, whatever it is made of."""
    kept = []
    monkeypatch.setattr(one_token, "kept", lambda x: (kept.append(x.shape), x)[1])
    counts = []
    for layers in (1, 3):
        model = tiny("rope", 3, num_layers=layers, context=13).eval()
        with torch.inference_mode():
            fixed = Uncompiled(model, 1, 13, None)
            fixed.start(torch.tensor([[1, 5, 2]]), None)
            kept.clear()
            fixed.next(torch.tensor([4]))
            counts.append(sorted(kept))
    width = model.blocks[0].attention.head_width // 2
    assert counts[0] == counts[1] == sorted([(1, width), (1, width), (1, 13)]), "cos, sin, and who is seen"


@pytest.mark.slow
@torch.inference_mode()
def test_the_compiled_step_computes_what_layers_share_once(tiny):
    """PyTorch's compiler computes again what is not kept; and it calls our kernels by their names in C."""
    from torch._inductor.utils import run_and_get_cpp_code

    if not one_token.prepare():
        pytest.skip("the kernels cannot be built here")
    found = []
    for layers in (1, 3):
        fixed = Fixed(tiny("rope", num_layers=layers, context=13).float().eval(), 1, 13, None)
        fixed.start(torch.tensor([[1, 5, 2]]), None)
        torch._dynamo.reset()
        _, code = run_and_get_cpp_code(fixed.next, torch.tensor([4]))
        calls = re.findall(
            r"^ +(cpp_fused\w+|AOTI_TORCH_ERROR_CODE_CHECK\(\w+|aoti_torch_call_dispatcher)\(", code, re.M
        )
        found.append([sum(name in call for call in calls) for name in ("cos", "cpu_one_row", "dispatcher")])
    (cosines, rows, _), (more_cosines, more_rows, _) = found
    assert cosines == more_cosines == 1 and more_rows > rows > 1 and not found[0][2] and not found[1][2], found


@pytest.mark.slow
@pytest.mark.parametrize("position", ["learned", "rope", "alibi", "t5"])
def test_the_compiled_step_gives_the_same_tokens(tiny, prompts, position):
    model, (tokens, padding) = tiny(position, window=5), prompts
    for pads in (padding, None):
        for temperature in (0, 1.3):
            settings = {"temperature": temperature, "seed": 5, "padding": pads}
            plain = generate(model, tokens, 23, **settings)
            assert torch.equal(plain, generate(model, tokens, 23, compile=True, **settings))
