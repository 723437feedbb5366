import shutil

import pytest
import torch

from oneblock.nn.dropout import Dropout, make_dropout


def kept(p, *shape, seed=0):
    torch.manual_seed(seed)
    return Dropout(p)(torch.ones(*shape)) != 0


@pytest.mark.parametrize("p", [0.01, 0.1, 0.2, 0.5, 0.9, 0.999])
def test_frequency_and_expectation(p):
    count = 400_003
    torch.manual_seed(7)
    out = Dropout(p)(torch.full((count,), 3.0))
    share = (out == 0).double().mean().item()
    assert abs(share - p) < 5 * (p * (1 - p) / count) ** 0.5
    torch.testing.assert_close(out[out != 0], torch.full_like(out[out != 0], 3 / (1 - p)))
    assert out.mean().item() == pytest.approx(3.0, abs=5 * 3 * (p / (1 - p) / count) ** 0.5)


def test_every_place_and_every_neighbourhood_is_dropped_alike():
    rounds, shape = 1009, (7, 11)
    masks = torch.stack([kept(0.5, *shape, seed=seed) for seed in range(rounds)]).double()
    sigma = 0.5 / rounds**0.5
    assert (masks.mean(0) - 0.5).abs().max() < 5 * sigma
    flat = masks.flatten(1)
    correlation = torch.corrcoef(flat.T) - torch.eye(flat.shape[1], dtype=torch.float64)
    assert correlation.abs().max() < 6 / rounds**0.5


def test_within_one_mask_there_is_no_pattern():
    mask = kept(0.5, 2**18).double() - 0.5
    for lag in (1, 2, 3, 4, 8, 64, 256, 4096, 65536):
        agreement = (mask[lag:] * mask[:-lag]).mean().item() * 4
        assert abs(agreement) < 5 / (2**18 - lag) ** 0.5, lag
    counts = kept(0.5, 1024, 256).sum(1).double()
    assert counts.mean().item() == pytest.approx(128, abs=1.25) and counts.std().item() == pytest.approx(8, rel=0.12)


@pytest.mark.parametrize("p", [0.1, 0.5])
def test_calls_and_sites_are_independent(p):
    count = 250_007
    torch.manual_seed(3)
    one, other = Dropout(p), Dropout(p)
    x = torch.ones(count)
    masks = [(site(x) != 0).double() - (1 - p) for site in (one, other, one, one)]
    for i in range(4):
        for j in range(i):
            correlation = (masks[i] * masks[j]).mean().item() / (p * (1 - p))
            assert abs(correlation) < 5 / count**0.5


def test_the_seed_decides_and_nothing_else():
    assert torch.equal(kept(0.3, 5, 7, seed=1), kept(0.3, 5, 7, seed=1))
    assert not torch.equal(kept(0.3, 50, 7, seed=1), kept(0.3, 50, 7, seed=2))
    assert torch.equal(kept(0.3, 5, 7, seed=1).flatten(), kept(0.3, 35, seed=1)), "the mask is by place, not by shape"
    torch.manual_seed(1)
    half = Dropout(0.3)(torch.ones(35, dtype=torch.bfloat16))
    assert half.dtype == torch.bfloat16 and torch.equal(half != 0, kept(0.3, 35, seed=1))


def test_identity_in_eval_mode_and_at_zero():
    x = torch.randn(5, 7)
    assert Dropout(0.5).eval()(x) is x
    assert isinstance(make_dropout(0.0), torch.nn.Identity) and isinstance(make_dropout(0.1), Dropout)


def test_gradient_is_the_mask():
    torch.manual_seed(0)
    x = torch.randn(3, 101, dtype=torch.float64, requires_grad=True)
    out = Dropout(0.25)(x)
    out.sum().backward()
    torch.testing.assert_close(x.grad, torch.where(out == 0, 0.0, 1 / 0.75).double())
    assert torch.autograd.gradcheck(lambda x: (torch.manual_seed(4), Dropout(0.5)(x))[1], x)


def test_what_is_dropped_passes_nothing_on_however_large():
    torch.manual_seed(0)
    x = torch.full((997,), torch.inf, requires_grad=True)
    out = Dropout(0.5)(x)
    assert not out.isnan().any() and (out == 0).any()


def test_a_transposed_input_is_dropped_by_its_logical_place():
    torch.manual_seed(0)
    one = Dropout(0.5)(torch.ones(7, 5).T)
    torch.manual_seed(0)
    assert torch.equal(one, Dropout(0.5)(torch.ones(5, 7)))


def test_masks_of_neighbouring_seeds_are_not_shifts_of_one_another(monkeypatch):
    count, masks = 250_007, []
    for seed in (5, 6):
        monkeypatch.setattr(torch, "randint", lambda *a, seed=seed, **k: torch.tensor(seed, dtype=torch.int32))
        masks.append((Dropout(0.5)(torch.ones(count)) != 0).double() * 2 - 1)
    for lag in range(-3, 4):
        one, other = masks[0][max(lag, 0) : count + min(lag, 0)], masks[1][max(-lag, 0) : count - max(lag, 0)]
        assert abs((one * other).mean().item()) < 5 / count**0.5


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="torch.compile needs a compiler")
def test_compiled_it_draws_the_mask_of_eager_code():
    """Two sites in one graph and their gradients: a compiled run drops what an eager one drops."""
    one, other = Dropout(0.3), Dropout(0.5)

    def both(x, weight):
        return other(one(x).relu() @ weight)

    compiled = torch.compile(both, fullgraph=True, options={"fallback_random": True})
    for seed in (0, 1):
        weight = torch.randn(13, 11, generator=torch.Generator().manual_seed(seed))
        found = []
        for run in (both, compiled):
            x = torch.full((7, 101, 13), 2.0, requires_grad=True)
            torch.manual_seed(seed)
            out = run(x, weight)
            out.sum().backward()
            found.append((out.detach(), x.grad))
        assert torch.equal(found[0][0] == 0, found[1][0] == 0), "the same places"
        for eager, mine in zip(*found, strict=True):
            torch.testing.assert_close(mine, eager, rtol=1e-5, atol=1e-6)
