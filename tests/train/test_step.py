"""Gradients in pieces against the whole batch, and what may be believed of compiled ones."""

import shutil

import pytest
import torch

from oneblock.models.build import build
from oneblock.nn.causal import has_kernel
from oneblock.train import step as steps
from oneblock.train.loss import cross_entropy
from oneblock.train.step import Gradients, gradient_error

B, T = 12, 8


def batch(rows=B, vocab=11):
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(vocab, (rows, T + 1), generator=generator)
    return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()


def made(small, *settings, dtype=torch.float64):
    return build(small("recipe.steps=1", "vocab_size=11", *settings).model, seed=1).to(dtype)


def gradients(model, inputs, targets, step=0, precision=None, **options):
    model.zero_grad()
    precision = precision or next(model.parameters()).dtype
    loss = Gradients(model, precision=precision, **options)(inputs, targets, step=step)
    return float(loss), {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize(("rows", "pieces"), [(12, 2), (12, 3), (12, 12), (7, 3), (7, 5), (11, 4)])
def test_accumulation_is_the_large_batch(small, rows, pieces):
    """7 rows in 3 pieces are 3 + 3 + 1: a piece counts by its targets, not as one of three."""
    model = made(small)
    inputs, targets = batch(rows)
    model.zero_grad()
    right = cross_entropy(model(inputs), targets)
    right.backward()
    expected = {name: p.grad.clone() for name, p in model.named_parameters()}
    loss, found = gradients(model, inputs, targets, accumulation=pieces)
    assert loss == pytest.approx(right.item(), abs=1e-6)
    for name, gradient in expected.items():
        assert gradient.abs().max() > 0
        torch.testing.assert_close(found[name], gradient, rtol=1e-12, atol=1e-15)


def test_accumulation_in_float32_to_rounding(small):
    model = made(small, dtype=torch.float32)
    inputs, targets = batch()
    whole = gradients(model, inputs, targets)[1]
    for name, gradient in gradients(model, inputs, targets, accumulation=4)[1].items():
        assert (gradient - whole[name]).norm() <= 2e-6 * whole[name].norm(), name


def test_gradients_are_added_to_what_is_there(small):
    model = made(small)
    once = gradients(model, *batch())[1]
    Gradients(model, precision=torch.float64)(*batch(), step=0)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, 2 * once[name])


NOISY = ("block.dropout=0.3", "block.attention.dropout=0.2")


def test_randomness_follows_from_seed_step_and_piece(small):
    model = made(small, *NOISY)
    draw = {
        (seed, step): gradients(model, *batch(), step=step, seed=seed, input_noise=0.2, accumulation=2)[0]
        for seed in (0, 1)
        for step in (0, 1)
    }
    assert len(set(draw.values())) == 4
    torch.manual_seed(999)
    assert gradients(model, *batch(), step=1, seed=1, input_noise=0.2, accumulation=2)[0] == draw[1, 1]


def test_each_piece_draws_its_own_dropout(small):
    """With one row twice, equal masks in both pieces would give equal losses."""
    model = made(small, *NOISY)
    row = [x[:1].repeat(2, 1) for x in batch()]
    seen = []
    trainer = Gradients(model, precision=torch.float64, accumulation=2)
    inner = trainer.loss
    trainer.loss = lambda *of: (seen.append(inner(*of)), seen[-1])[1]
    trainer(*row, step=0)
    assert len(seen) == 2 and seen[0].item() != seen[1].item()


def test_input_noise_replaces_its_share_by_ids_of_the_vocabulary(small):
    model = made(small)
    trainer = Gradients(model, precision=torch.float64, input_noise=0.25)
    torch.manual_seed(0)
    inputs = torch.zeros(97, 101, dtype=torch.long)
    noised = trainer._noised(inputs)
    # One in eleven draws the id that was there.
    assert (noised != inputs).double().mean().item() == pytest.approx(0.25 * 10 / 11, abs=0.02)
    assert set(noised.unique().tolist()) == set(range(11)) and (inputs == 0).all()


def test_targets_are_never_noised(small):
    model = made(small)
    trainer = Gradients(model, precision=torch.float64, input_noise=0.9)
    seen = []
    trainer.loss = lambda inputs, targets: (seen.append(targets), cross_entropy(model(inputs), targets))[1]
    inputs, targets = batch()
    trainer(inputs, targets, step=0)
    assert torch.equal(seen[0], targets)


def test_the_error_of_gradients(small):
    model = made(small)
    inputs, targets = batch()
    right = lambda: cross_entropy(model(inputs), targets)  # noqa: E731
    weight = model.blocks[0].get_parameter("attention.qkv.weight")
    assert gradient_error(model, right, right) == 0
    # The loss of one matrix alone counted 1.5 times.
    wrong = gradient_error(model, lambda: Halfway.apply(weight, right()), right)
    assert wrong == pytest.approx(0.5, rel=1e-9)
    broken = gradient_error(model, lambda: right() * float("nan"), right)
    assert broken == float("inf")
    assert all(p.grad is None for p in model.parameters())


class Halfway(torch.autograd.Function):
    """Passes the loss on and adds half of `weight`'s right gradient to it."""

    @staticmethod
    def forward(ctx, weight, loss):
        ctx.save_for_backward(weight)
        return loss.clone()

    @staticmethod
    def backward(ctx, grad):
        return 0.5 * Halfway.right, grad


@pytest.fixture(autouse=True)
def right_gradient(small):
    model = made(small)
    inputs, targets = batch()
    cross_entropy(model(inputs), targets).backward()
    Halfway.right = model.blocks[0].get_parameter("attention.qkv.weight").grad.clone()


def compiled_by(monkeypatch, compile):
    monkeypatch.setattr(torch, "compile", lambda loss, **options: compile(loss))
    told = []
    return told, lambda event, words: told.append(words)


def test_a_compiler_that_fails_or_lies_is_not_believed(small, monkeypatch):
    model = made(small, dtype=torch.float32)

    def failing(loss):
        def fails(*of):
            raise RuntimeError("no compiler\nat all")

        return fails

    for broken, words in (
        (failing, "failed, going on without: no compiler"),
        (lambda loss: lambda *of: loss(*of) * float("nan"), "off by inf"),
        (lambda loss: lambda *of: loss(*of) * 1.1, "off by 0.1"),
    ):
        told, tell = compiled_by(monkeypatch, broken)
        trainer = Gradients(model, precision=torch.float32)
        assert not trainer.compile(*batch(), tell=tell)
        assert words in told[-1] and "\n" not in told[-1]
        assert trainer.loss == trainer._loss
    told, tell = compiled_by(monkeypatch, lambda loss: lambda *of: loss(*of))
    trainer = Gradients(model, precision=torch.float32)
    assert trainer.compile(*batch(), tell=tell) and trainer.loss != trainer._loss and len(told) == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler here")
def test_compiled_gradients_with_dropout_and_the_kernel(small):
    """The same masks as eager, the kernel inside one graph, and a step that is the eager one to rounding."""
    if not has_kernel():
        pytest.skip("no kernel on this machine")
    model = made(small, "width=64", "block.dropout=0.3", dtype=torch.float32)
    options = {"precision": torch.bfloat16, "accumulation": 2, "input_noise": 0.1}
    eager = gradients(model, *batch(), step=5, **options)
    trainer = Gradients(model, **options)
    words = []
    assert trainer.compile(*batch(), tell=lambda event, words: words.append(words)), words
    model.zero_grad()
    loss = float(trainer(*batch(), step=5))
    assert loss == pytest.approx(eager[0], rel=2e-3)
    for name, parameter in model.named_parameters():
        error = (parameter.grad - eager[1][name]).norm() / eager[1][name].norm()
        assert error < steps.GRADIENT_TOLERANCE, (name, float(error))
