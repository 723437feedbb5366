"""One row times a matrix: the kernel against float64, the sum where there is none, and what is refused."""

import os
import shutil

import pytest
import torch
import torch.nn.functional as F

from oneblock.nn import one_row, one_token
from oneblock.nn.linear import linear

KINDS = [torch.float32, torch.bfloat16, torch.int8]
needs_kernel = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))) or "ONEBLOCK_NO_KERNELS" in os.environ, reason="needs a compiler"
)


@pytest.fixture
def kernel():
    assert one_token.prepare()
    return torch.ops.oneblock.one_row.default


@pytest.fixture
def compiling(monkeypatch):
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)


def drawn(*shape, dtype=torch.float32, seed=0):
    numbers = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (numbers * 40).clamp(-127, 127).round().to(dtype) if dtype == torch.int8 else numbers.to(dtype)


def check(found_E, x_D, weight_ED):
    """Each sum is off by a few roundings of the numbers that are summed."""
    assert found_E.dtype == torch.float32 and found_E.shape == weight_ED.shape[:1]
    right_E, size_E = weight_ED.double() @ x_D.double(), weight_ED.double().abs() @ x_D.double().abs()
    assert ((found_E - right_E).abs() <= 4e-7 * size_E).all()


@needs_kernel
@pytest.mark.parametrize("dtype", KINDS)
def test_against_float64_at_every_width(kernel, dtype):
    for D in (*range(71), 127, 128, 131, 577, 1031):
        for E in (1, 3, 17, 67):
            x_D, weight_ED = drawn(D, seed=D), drawn(E, D, dtype=dtype, seed=E)
            check(kernel(x_D, weight_ED), x_D, weight_ED)
    assert kernel(drawn(5), drawn(0, 5, dtype=dtype)).shape == (0,)


@needs_kernel
@pytest.mark.parametrize("dtype", KINDS)
def test_anywhere_in_memory_and_with_any_number_of_threads(kernel, dtype):
    table, x_D = drawn(331 * 71 + 9, dtype=dtype), drawn(71 + 3)
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            for begin in (0, 1, 3, 7):
                weight_ED = table[begin : begin + 331 * 71].view(331, 71)
                check(kernel(x_D[3:], weight_ED), x_D[3:], weight_ED)
    finally:
        torch.set_num_threads(threads)


@needs_kernel
@pytest.mark.parametrize(
    ("x", "weight", "words"),
    [
        (drawn(3), drawn(2, 3, dtype=torch.float16), "float32, bfloat16 or int8"),
        (drawn(3), drawn(2, 5, dtype=torch.bfloat16), "must be D"),
        (drawn(1, 3), drawn(2, 3, dtype=torch.bfloat16), "must be D"),
        (drawn(3).double(), drawn(2, 3, dtype=torch.bfloat16), "float32"),
        (drawn(6)[::2], drawn(2, 3, dtype=torch.bfloat16), "contiguous"),
        (drawn(3), drawn(3, 2, dtype=torch.int8).mT, "contiguous"),
    ],
)
def test_what_it_cannot_do_is_an_error(kernel, x, weight, words):
    with pytest.raises(RuntimeError, match=words):
        kernel(x, weight)


@needs_kernel
@torch.no_grad()
def test_other_weights_are_summed(kernel, compiling):
    """The kernel would refuse them."""
    x = drawn(1, 1, 7)
    for weight in (drawn(7, 11, dtype=torch.bfloat16).mT, drawn(22, 7, dtype=torch.int8)[::2], drawn(11, 7).half()):
        torch.testing.assert_close(one_row.times(x, weight), x @ weight.float().mT)
    wide = one_row.times(x.double(), drawn(11, 7, dtype=torch.bfloat16))
    assert wide.dtype == torch.float64


@needs_kernel
@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_the_linear_map_calls_it(kernel, compiling, bias, monkeypatch):
    x, weight = drawn(1, 1, 37, dtype=torch.bfloat16), drawn(13, 37, dtype=torch.bfloat16)
    added = drawn(13, dtype=torch.bfloat16) if bias else None
    right = F.linear(x.double(), weight.double(), None if added is None else added.double())
    torch.testing.assert_close(linear(x, weight, added), right.bfloat16(), rtol=8e-3, atol=1e-5)
    monkeypatch.setattr(torch.ops.oneblock.one_row, "default", lambda x_D, weight_ED: torch.full((13,), 3.0))
    assert (linear(x, weight) == 3).all()
    monkeypatch.setattr(one_token, "_ready", False)
    torch.testing.assert_close(linear(x, weight, added), right.bfloat16(), rtol=8e-3, atol=1e-5)


@needs_kernel
def test_pytorchs_own_checks_of_an_operator(kernel):
    for dtype in KINDS:
        given = drawn(7), drawn(11, 7, dtype=dtype)
        torch.library.opcheck(kernel, given, test_utils=("test_schema", "test_faketensor"))


@pytest.mark.slow
@needs_kernel
@torch.no_grad()
def test_in_compiled_code(kernel):
    """Right in the middle of other operations; and what it refuses reaches the caller from there."""
    compiled = torch.compile(lambda x, w: linear(x.sin(), w).cos(), options={"cpp_wrapper": True}, dynamic=False)
    x, weight = drawn(1, 257), drawn(131, 257, dtype=torch.bfloat16)
    torch.testing.assert_close(compiled(x, weight), (x.sin() @ weight.float().mT).cos(), rtol=1e-4, atol=1e-4)
    wrong = torch.compile(lambda x, w: kernel(x + 1, w), options={"cpp_wrapper": True}, dynamic=False)
    with pytest.raises(RuntimeError):
        wrong(drawn(3), drawn(2, 5, dtype=torch.bfloat16))
