"""The attention of one query: the kernel and the sums against float64, and what is refused."""

import os
import shutil

import pytest
import torch
import torch.nn.functional as F

from oneblock.nn import one_query, one_token
from oneblock.nn.one_query import as_sums, attend

needs_kernel = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))) or "ONEBLOCK_NO_KERNELS" in os.environ, reason="needs a compiler"
)


@pytest.fixture
def kernel():
    assert one_token.prepare()
    return torch.ops.oneblock.one_query.default


def drawn(H, G, S, K, dtype=torch.float32, seed=0):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(1, *shape, K, generator=generator) for shape in ((H, 1), (G, S), (G, S)))
    return q, k.to(dtype), v.to(dtype)


def right(q, k, v, added, scale):
    wide = added.double() if added is not None and added.is_floating_point() else added
    wide = wide[None] if wide is not None and wide.dim() == 1 else wide
    return F.scaled_dot_product_attention(
        q.double(), k.double(), v.double(), attn_mask=wide, scale=scale, enable_gqa=True
    )


def window(S, first, last):
    at = torch.arange(S)
    return (at >= first) & (at <= last)


@needs_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("H", "G"), [(1, 1), (9, 3), (7, 1), (5, 5), (12, 2), (10, 2)])
def test_against_float64(kernel, dtype, H, G):
    for K in (32, 64, 96, 160):
        for S, seen in ((1, window(1, 0, 0)), (37, window(37, 0, 22)), (131, window(131, 17, 64))):
            q, k, v = drawn(H, G, S, K, dtype, seed=K + S)
            found = kernel(q, k, v, seen, 0.3)
            assert found.dtype == torch.float32
            torch.testing.assert_close(found.double(), right(q, k, v, seen, 0.3), rtol=2e-5, atol=2e-6)


@needs_kernel
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_in_parts_by_any_number_of_threads(kernel, dtype):
    """Each part knows its own largest score alone; what is far below the largest of all counts for nothing."""
    q, k, v = drawn(6, 3, 2311, 64, dtype)
    k[:, :, 2000:] *= 9
    seen = torch.arange(2311) % 7 != 3
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3, 5):
            torch.set_num_threads(count)
            found = kernel(q, k, v, seen, 0.7).double()
            torch.testing.assert_close(found, right(q, k, v, seen, 0.7), rtol=2e-5, atol=1e-5)
    finally:
        torch.set_num_threads(threads)


@needs_kernel
def test_where_the_rows_lie_does_not_matter(kernel):
    q, k, v = drawn(6, 2, 29, 64)
    seen = window(29, 0, 27)
    expected = kernel(q, k, v, seen, 0.2)
    among = torch.stack([k.transpose(1, 2), v.transpose(1, 2)], dim=3).flatten(2, 3)  # 1 x S x 2G x K
    k_far, v_far = among[:, :, ::2].transpose(1, 2), among[:, :, 1::2].transpose(1, 2)
    q_far = torch.cat([q, q], dim=2)[:, :, :1]
    assert not k_far.is_contiguous() and not q_far.is_contiguous()
    assert torch.equal(kernel(q_far, k_far, v_far, seen, 0.2), expected)


@needs_kernel
def test_what_is_no_number_stays_none(kernel):
    q, k, v = drawn(4, 2, 13, 32)
    assert kernel(q, k, v, torch.zeros(13, dtype=torch.bool), 1.0).isnan().all()
    k[0, 0, 5, 3] = torch.nan
    found = kernel(q, k, v, window(13, 0, 12), 1.0)
    assert found[0, :2].isnan().all() and found[0, 2:].isfinite().all()
    assert kernel(q, k, v, window(13, 0, 4), 1.0).isfinite().all(), "what is not seen is not read"


@needs_kernel
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda q, k, v, s: (q[0], k, v, s), "four dimensions"),
        (lambda q, k, v, s: (q.expand(2, -1, -1, -1), k, v, s), "one row and one query"),
        (lambda q, k, v, s: (q.expand(-1, -1, 2, -1), k, v, s), "one row and one query"),
        (lambda q, k, v, s: (q, k, v[:, :, 1:], s), "one shape"),
        (lambda q, k, v, s: (q[..., :31], k[..., :31], v[..., :31], s), "multiple of 32"),
        (lambda q, k, v, s: (q[..., :32], k, v, s), "multiple of 32 in q, k, v"),
        (lambda q, k, v, s: (q[:, :3], k, v, s), "multiple of the groups"),
        (lambda q, k, v, s: (q, k, v, s[1:]), "S booleans"),
        (lambda q, k, v, s: (q, k, v, s.float()), "S booleans"),
        (lambda q, k, v, s: (q.double(), k, v, s), "q must be in float32"),
        (lambda q, k, v, s: (q, k.half(), v.half(), s), "float32 or bfloat16"),
        (lambda q, k, v, s: (q, k.bfloat16(), v, s), "float32 or bfloat16"),
        (lambda q, k, v, s: (q, k.mT.contiguous().mT, v, s), "features must be contiguous"),
    ],
)
def test_what_it_cannot_do_is_an_error(kernel, given, words):
    with pytest.raises(RuntimeError, match=words):
        kernel(*given(*drawn(4, 2, 13, 64), window(13, 0, 9)), 1.0)


@needs_kernel
def test_pytorchs_own_checks_of_an_operator(kernel):
    given = (*drawn(6, 3, 11, 32), window(11, 2, 7), 0.5)
    torch.library.opcheck(kernel, given, test_utils=("test_schema", "test_faketensor"))


@pytest.mark.parametrize("by", ["kernel", "sums"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("added", [None, "window", "bias"])
@pytest.mark.parametrize("K", [11, 32])
def test_one_query_by_either(by, added, dtype, K, monkeypatch):
    """Both give the answer in the type of the values; what the kernel does not take is summed."""
    if by == "kernel":
        one_token.prepare()
    else:
        monkeypatch.setattr(one_token, "_ready", False)
    q, k, v = (x.to(dtype) for x in drawn(6, 3, 7, K))
    bias = torch.randn(6, 1, 7, generator=torch.Generator().manual_seed(1)).to(dtype)
    given = {None: None, "window": window(7, 3, 6)[None], "bias": bias.masked_fill(torch.arange(7) < 2, -torch.inf)}
    expected, found = right(q, k, v, given[added], 0.3), attend(q, k, v, given[added], 0.3)
    assert found.shape == expected.shape and found.dtype == dtype
    torch.testing.assert_close(found, expected.to(dtype))
    torch.testing.assert_close(as_sums(q, k, v, given[added], 0.3), expected.to(dtype))


@needs_kernel
def test_the_kernel_is_called_where_it_suits(kernel, monkeypatch):
    called = []
    monkeypatch.setattr(torch.ops.oneblock.one_query, "default", lambda q, *others: called.append(1) or q)
    q, k, v = drawn(6, 3, 7, 32)
    cases = [
        ((q, k, v, None), 1),
        ((q, k.bfloat16(), v.bfloat16(), window(7, 0, 3)[None, None, None]), 1),
        ((q, k, v, torch.zeros(7)), 0),
        ((q, k, v, torch.ones(6, 1, 7, dtype=torch.bool)), 0),
        ((q.double(), k, v, None), 0),
        ((q, k.half(), v.half(), None), 0),
        ((q[..., :31], k[..., :31], v[..., :31], None), 0),
        ((q, k.mT.contiguous().mT, v, None), 0),
    ]
    for given, times in cases:
        called.clear()
        attend(*given, 0.3)
        assert len(called) == times


@torch.no_grad()
def test_only_one_query_of_one_row_is_single(monkeypatch):
    assert not one_query.single(torch.zeros(1, 2, 1, 3)), "nothing is being compiled"
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    assert one_query.single(torch.zeros(1, 2, 1, 3))
    assert not one_query.single(torch.zeros(2, 2, 1, 3)) and not one_query.single(torch.zeros(1, 2, 2, 3))
    with torch.enable_grad():
        assert not one_query.single(torch.zeros(1, 2, 1, 3))
