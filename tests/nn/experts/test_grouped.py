"""The product of sorted rows, beside a loop, with its gradients."""

import pytest
import torch

from oneblock.nn.experts.grouped import Rearranged, grouped_product, sorting

D, F, E = 5, 7, 4
COUNTS = [[3, 0, 4, 2], [0, 0, 0, 0], [9, 0, 0, 0], [1, 1, 1, 6], [0, 5, 0, 0]]


def inputs(counts, rows=11, **settings):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, D, generator=generator, dtype=torch.float64, **settings)
    weight = torch.randn(E, F, D, generator=generator, dtype=torch.float64, **settings)
    return x, weight, torch.tensor(counts)


@pytest.mark.parametrize("counts", COUNTS)
def test_each_row_meets_its_own_experts_matrix(counts):
    x, weight, counts_E = inputs(counts)
    expert = [e for e, count in enumerate(counts) for _ in range(count)]
    expected = torch.zeros(11, F, dtype=torch.float64)
    for row, e in enumerate(expert):
        expected[row] = weight[e] @ x[row]
    torch.testing.assert_close(grouped_product(x, weight, counts_E), expected)
    # A matrix that lies transposed in memory.
    turned = weight.transpose(1, 2).contiguous().transpose(1, 2)
    torch.testing.assert_close(grouped_product(x, turned, counts_E), expected)


@pytest.mark.parametrize("counts", COUNTS)
def test_gradients(counts):
    x, weight, counts_E = inputs(counts, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: grouped_product(x, w, counts_E), (x, weight))


MANY = [[70, 0, 131, 5], [64, 128, 1, 63], [0, 65, 0, 192], [209, 0, 0, 0], [3, 200, 0, 0]]


@pytest.mark.parametrize("counts", MANY)
@pytest.mark.parametrize("nobodys", [0, 3, 67])
def test_more_rows_than_one_kernel_takes(counts, nobodys):
    """Products go beyond an expert's last row, up to a multiple; what they leave there is the next one's, or nobody's."""
    x, weight, counts_E = inputs(counts, rows=sum(counts) + nobodys, requires_grad=True)
    parts = [part @ weight[e].T for e, part in enumerate(x[: sum(counts)].split(counts))]
    expected = torch.cat([*parts, torch.zeros(nobodys, F, dtype=torch.float64)])
    found = grouped_product(x, weight, counts_E)
    torch.testing.assert_close(found, expected)
    towards = torch.randn(found.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted = torch.autograd.grad(expected, (x, weight), towards)
    for one, other in zip(torch.autograd.grad(found, (x, weight), towards), wanted, strict=True):
        torch.testing.assert_close(one, other)


def test_the_operator_is_sound_for_torch_compile():
    x, weight, counts_E = inputs(COUNTS[0], requires_grad=True)
    torch.library.opcheck(torch.ops.oneblock.grouped_product.default, (x, weight, counts_E))
    torch.library.opcheck(torch.ops.oneblock.grouped_outer.default, (torch.randn(11, F).double(), x.detach(), counts_E))


def test_autocast_reaches_it():
    x, weight, counts_E = (tensor.float() if tensor.is_floating_point() else tensor for tensor in inputs(COUNTS[0]))
    with torch.autocast("cpu", torch.bfloat16):
        assert grouped_product(x, weight, counts_E).dtype == torch.bfloat16


def test_sorting_keeps_equal_ones_in_order_and_is_undone():
    experts = torch.tensor([3, 0, 3, 1, 0, 3, 1])
    order, back = sorting(experts)
    assert order.tolist() == [1, 4, 3, 6, 0, 2, 5]
    assert torch.equal(experts[order][back], experts)


@pytest.mark.parametrize("repeats", [1, 2, 3])
def test_rearranging_is_undone_and_has_its_gradient(repeats):
    x = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    index, back = sorting(torch.randperm(4 * repeats))
    found = Rearranged.apply(x, index, back, repeats)
    assert torch.equal(found, x[index // repeats])
    assert torch.equal(Rearranged.apply(found, back, index, 1), x.repeat_interleave(repeats, 0))
    assert torch.autograd.gradcheck(lambda x: Rearranged.apply(x, index, back, repeats), (x,))
