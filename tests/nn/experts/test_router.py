"""The router's arithmetic is float32 or wider, or bfloat16 where that is asked for; only its input is jittered."""

import pytest
import torch

from oneblock.nn.experts.router import Router

D, E = 13, 5


def made(jitter=0.0, dtype=torch.float32, precision="float32"):
    torch.manual_seed(0)
    return Router(D, E, jitter, precision).to(dtype)


@pytest.mark.parametrize(
    ("stream", "weights", "logits"),
    [
        (torch.bfloat16, torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16, torch.float32),
        (torch.float32, torch.float32, torch.float32),
        (torch.float64, torch.float64, torch.float64),
    ],
)
def test_float32_or_wider_whatever_the_stream(stream, weights, logits):
    router, x = made(dtype=weights), torch.randn(2, 7, D).to(stream)
    found = router(x)
    assert found.dtype == logits
    exact = x.double() @ router.weight.double().T
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-6)
    if stream == torch.bfloat16:
        assert (torch.nn.functional.linear(x, router.weight.to(stream)).double() - exact).abs().max() > 1e-3


def test_autocast_does_not_reach_it():
    router, x = made(), torch.randn(2, 7, D)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(router(x), made()(x)) and router(x).dtype == torch.float32


def test_jitter_is_uniform_and_in_training_only():
    router, x = made(jitter=0.1), torch.ones(50, 40, D)
    with torch.no_grad():
        router.weight.copy_(torch.eye(E, D))
    torch.manual_seed(1)
    factors = router(x)
    assert not torch.equal(factors, router(x)), "drawn anew each time"
    assert factors.min() >= 0.9 and factors.max() <= 1.1
    # Of U(0.9, 1.1): mean 1, deviation 0.1/√3, a quarter in each quarter.
    count = factors.numel()
    assert factors.mean().item() == pytest.approx(1, abs=5 * 0.0577 / count**0.5)
    for edge, share in ((0.95, 0.25), (1.0, 0.5), (1.05, 0.75)):
        assert (factors < edge).double().mean().item() == pytest.approx(share, abs=5 * 0.5 / count**0.5)
    router.eval()
    assert torch.equal(router(x), torch.ones(50, 40, E))
    assert (x == 1).all(), "its input stays as it is"


@pytest.mark.parametrize("stream", [torch.bfloat16, torch.float32, torch.float64])
def test_bfloat16_where_it_is_asked_for(stream):
    router, x = made(precision="bfloat16", dtype=stream), 3 * torch.randn(2, 7, D).to(stream)
    found = router(x)
    assert found.dtype == torch.bfloat16
    # Nothing but rounding: eight bits of the input, of the weights and of the sum.
    exact = x.double() @ router.weight.double().T
    rounded = x.bfloat16().double() @ router.weight.bfloat16().double().T
    torch.testing.assert_close(found.double(), rounded, rtol=2**-8, atol=1e-6)
    assert (found.double() - exact).abs().max() > 1e-3
    with torch.autocast("cpu", torch.bfloat16):
        probabilities = router.probabilities(found)
    assert probabilities.dtype == torch.float32
    assert torch.equal(probabilities, probabilities.bfloat16().float()), "the softmax is rounded too"
    assert not torch.equal(probabilities, found.float().softmax(-1))
    wide = made(dtype=stream)
    assert {name: p.shape for name, p in wide.state_dict().items()} == {"weight": (E, D)}
    assert wide.probabilities(wide(x)).dtype == torch.promote_types(stream, torch.float32)


def test_the_task_teaches_it_in_bfloat16_too():
    router, x = made(precision="bfloat16", jitter=0.01), torch.randn(2, 7, D)
    router.probabilities(router(x))[..., 0].sum().backward()
    assert router.weight.grad.dtype == torch.float32 and router.weight.grad.abs().max() > 0
