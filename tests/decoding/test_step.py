"""The step of fixed shapes: the same tokens as the plain one, compiled or not."""

import pytest
import torch

from oneblock.decoding import generate as room
from oneblock.decoding.generate import generate
from oneblock.decoding.step import ROUND_TO, Fixed, Plain


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


@pytest.mark.slow
@pytest.mark.parametrize("position", ["learned", "rope", "alibi", "t5"])
def test_the_compiled_step_gives_the_same_tokens(tiny, prompts, position):
    model, (tokens, padding) = tiny(position, window=5), prompts
    for pads in (padding, None):
        for temperature in (0, 1.3):
            settings = {"temperature": temperature, "seed": 5, "padding": pads}
            plain = generate(model, tokens, 23, **settings)
            assert torch.equal(plain, generate(model, tokens, 23, compile=True, **settings))
