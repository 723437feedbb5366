"""The linear map: its two forms."""

import shutil

import pytest
import torch
import torch.nn.functional as F

from oneblock.nn import linear as room
from oneblock.nn.linear import Linear, linear

needs_compiler = pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++"))), reason="torch.compile needs it")


@pytest.fixture
def compiling(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


@pytest.fixture
def library(monkeypatch):
    """Counts the calls of PyTorch's own product."""
    calls, real = [], F.linear
    monkeypatch.setattr(room.F, "linear", lambda *a: (calls.append(1), real(*a))[1])
    return calls


def drawn(*shape, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("shape", [(7,), (1, 7), (1, 1, 7)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@torch.no_grad()
def test_one_row_as_a_sum(compiling, library, shape, bias, dtype):
    x, weight = drawn(*shape, dtype=dtype), drawn(11, 7, dtype=dtype)
    added = drawn(11, dtype=dtype) if bias else None
    y = linear(x, weight, added)
    assert not library
    right = F.linear(x.double(), weight.double(), None if added is None else added.double())
    assert y.dtype == dtype and y.shape == right.shape
    torch.testing.assert_close(y, right.to(dtype), rtol=8e-3 if dtype == torch.bfloat16 else 1e-5, atol=1e-5)


def test_all_else_is_left_to_the_library(library, compiling, monkeypatch):
    layer = Linear(7, 11).double()
    layer(drawn(1, 7))
    assert len(library) == 1, "a gradient is wanted"
    with torch.no_grad():
        layer(drawn(2, 7))
        assert len(library) == 2, "two rows"
        monkeypatch.undo()
        torch.testing.assert_close(layer(drawn(1, 7)), drawn(1, 7) @ layer.weight.mT + layer.bias)


@pytest.mark.slow
@needs_compiler
@torch.no_grad()
def test_compiled_it_is_right():
    layer, x = Linear(257, 131), torch.randn(1, 1, 257)
    torch.testing.assert_close(torch.compile(layer)(x), F.linear(x, layer.weight, layer.bias))
