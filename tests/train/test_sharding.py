"""Rows of tensors in several processes: the whole, the parts, and sums over them, of sizes that do not come out even."""

import itertools

import pytest
import torch
from forked import forked
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard

from oneblock.train import sharding
from oneblock.train.clip import clip_gradients, global_norm

ROWS = (7, 6, 4, 2, 1)
WORLD = 3


def whole_of(rows):
    return torch.arange(rows * 5, dtype=torch.float64).view(rows, 5) ** 2


def sharded(whole, mesh):
    """Not by what is tested here."""
    own = list(whole.chunk(mesh.size()))
    own += [whole[:0]] * (mesh.size() - len(own))
    place = own[mesh.get_local_rank()].clone()
    return DTensor.from_local(
        place, mesh, [Shard(0)], run_check=False, shape=whole.shape, stride=whole.contiguous().stride()
    )


def test_rows_parts_and_wholes(tmp_path):
    def work(processes):
        mesh = init_device_mesh("cpu", (processes.world,))
        found = []
        for number in ROWS:
            whole = whole_of(number)
            tensor = sharded(whole, mesh)
            assert sharding.is_sharded(tensor) and torch.equal(sharding.full(tensor), whole)
            part = sharding.part_of(whole, tensor)
            assert torch.equal(part.to_local(), tensor.to_local()) and part.placements == tensor.placements
            assert part.shape == tensor.shape and part.stride() == tensor.stride()
            # A copy, for what it was cut from is freed.
            assert part.to_local().numel() == 0 or part.to_local().data_ptr() != whole.data_ptr()
            assert sharding.part_of(tensor, tensor) is tensor
            again = sharding.joined(sharding.local(tensor) * 2, tensor)
            assert torch.equal(sharding.full(again), 2 * whole)
            sharding.local(tensor).add_(1.0)
            assert torch.equal(sharding.full(tensor), whole + 1), "its own memory"
            found.append(sharding.rows(tensor))
        kept = sharding.gathered({"a": tensor, "b": whole}, keep=processes.first)
        assert list(kept) == (["a", "b"] if processes.first else [])
        assert all(type(value) is torch.Tensor for value in kept.values())
        return found

    found = forked(WORLD, work, tmp_path)
    for error in found:
        assert not isinstance(error, BaseException), error
    for index, number in enumerate(ROWS):
        starts_and_ends = [one[index] for one in found]
        assert starts_and_ends[0][0] == 0 and starts_and_ends[-1][1] == number
        assert all(left[1] == right[0] for left, right in itertools.pairwise(starts_and_ends))


def test_the_norm_counts_each_row_once(tmp_path):
    """Plain gradients beside sharded ones, in the order that they come."""
    wholes = [whole_of(number) for number in ROWS]
    plain = torch.cat([whole.flatten() for whole in wholes])
    expected = float(plain.norm())

    def work(processes):
        mesh = init_device_mesh("cpu", (processes.world,))
        parameters = []
        for index, whole in enumerate(wholes):
            parameter = torch.nn.Parameter(sharded(whole, mesh) if index % 2 == 0 else whole.clone())
            parameter.grad = parameter.detach().clone()
            parameters.append(parameter)
        norms = [float(global_norm(parameters)), float(clip_gradients(parameters, expected / 4))]
        return norms, torch.cat([sharding.full(parameter.grad).flatten() for parameter in parameters])

    for norms, clipped in forked(WORLD, work, tmp_path):
        assert norms == pytest.approx([expected, expected], rel=1e-12)
        torch.testing.assert_close(clipped, plain / 4, rtol=1e-6, atol=0)


def test_plain_tensors_are_what_they_are():
    tensor = torch.randn(3, 2)
    for made in (sharding.local(tensor), sharding.full(tensor), sharding.joined(tensor, torch.empty(3, 2))):
        assert made is tensor
    assert sharding.part_of(tensor, torch.empty(3, 2)) is tensor and sharding.rows(tensor) == (0, 3)
    assert not sharding.is_sharded(tensor) and float(sharding.add_up(torch.tensor(2.0), [tensor])) == 2
    assert sharding.gathered({"a": tensor}, keep=True)["a"] is tensor
    model = torch.nn.Linear(2, 3)
    with pytest.raises(RuntimeError, match="weight"):
        sharding.load_whole(model, {"bias": torch.zeros(3)})
