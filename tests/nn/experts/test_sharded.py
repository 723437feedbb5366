"""Experts shared out over processes: all numbers and gradients are those of one process.

The processes run this same file; each writes down what it found, and the tests compare.
"""

import copy
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard
from torch.distributed.tensor.debug import CommDebugMode

import oneblock
from oneblock import build
from oneblock.config import Attention, Block, Decoder, Dense, Gated, GShard, Switch, TopK
from oneblock.config.errors import ConfigError
from oneblock.nn.context import Context
from oneblock.nn.experts.sharded import PLACEMENTS, placements, shard_experts
from oneblock.nn.feedforward import FEED_FORWARDS
from oneblock.nn.position import Position
from oneblock.nn.record import Record
from oneblock.train.processes import is_of_others

B, T, D, E = 7, 5, 13, 12
DENSE, GATED = Dense(activation="relu", hidden=11, bias=True), Gated(activation="silu", hidden=7)
LIMITED = {"num_experts": E, "jitter": 0.0, "group_size": T}
OPTIONS = {
    "switch": Switch(expert=DENSE, **LIMITED, capacity_factor=2.5),
    "gshard": GShard(expert=GATED, **LIMITED, capacity_factor=2.5, random_second=False),
    "gshard, as printed": GShard(expert=DENSE, **LIMITED, random_second=False, priority="choices", capacity_factor=1.3),
    "top 3": TopK(num_experts=E, expert=GATED, k=3, auxiliary_weight=0.0, z_loss_weight=0.01),
    "top 3, shared": TopK(num_experts=E, expert=DENSE, k=3, shared_experts=2, auxiliary_weight=0.0),
}
WAIT = timedelta(seconds=120)
DISPATCHES = ("sorted", "einsum")
# Which tokens there are, and where they go: `one expert` leaves all others empty; of `pads` the last processes have nothing else.
SHAPES = ("any", "pads", "one expert", "evaluation")
CASES = [(name, dispatch, shape) for name in OPTIONS for dispatch in DISPATCHES for shape in SHAPES]


def case(name, dispatch, shape):
    """The mixture in training or not, its rows and their pads."""
    torch.manual_seed(0)
    option = type(OPTIONS[name])(**{**vars(OPTIONS[name]), "dispatch": dispatch})
    mixture = FEED_FORWARDS[type(option)](option, D).double().train(shape != "evaluation")
    for parameter in mixture.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    x_BTD = torch.randn(B, T, D, dtype=torch.float64)
    if shape == "one expert":
        # One feature, always 1, makes expert 4 the best of all, and the next ones those after it.
        x_BTD[..., 0] = 1
        with torch.no_grad():
            mixture.router.weight.mul_(0.01)[:, 0] = torch.arange(E, 0, -1).roll(4)
    pads_BT = torch.arange(T) < torch.tensor([1, 5, 0, 3, 5, 5, 5])[:, None] if shape == "pads" else None
    return mixture, x_BTD, pads_BT


def rows_of(rank, world):
    """Unequal parts of the batch's rows, in order."""
    return torch.arange(B).tensor_split(world)[rank]


def computed(mixture, x_BTD, pads_BT, rows):
    """Answer, loss, the input's gradient and the parameters', of some of the batch's rows."""
    x_BTD, record = x_BTD[rows].requires_grad_(), Record()
    pads = None if pads_BT is None else pads_BT[rows]
    ctx = Context(T, torch.device("cpu"), position=Position(), record=record, padding_BS=pads)
    y_BTD = mixture(x_BTD, ctx)
    # Every row's own share of the loss; not the plain sum, whose gradient is the same for every feature.
    loss = (y_BTD * torch.arange(1.0, D + 1)).square().sum()
    if mixture.training and pads is None:
        loss = loss + record.loss() * len(rows) / B
    loss.backward()
    return {
        "y": y_BTD.detach(), "loss": loss.detach(), "x": x_BTD.grad,
        "grads": {name: _local(p.grad) for name, p in mixture.named_parameters() if p.grad is not None},
    }  # fmt: skip


def _local(tensor):
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def in_a_process(rank, world, folder, port):
    """What each process does; its findings go into a file."""
    torch.set_num_threads(1)
    store = dist.TCPStore("127.0.0.1", port, timeout=WAIT)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=WAIT)
    mesh, found = init_device_mesh("cpu", (world,)), {}
    for job in (equality, collectives, uneven, a_model, in_bfloat16, sudden_death):
        found[job.__name__] = job(mesh)
        torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def equality(mesh):
    found = {}
    for which in CASES:
        mixture, x_BTD, pads_BT = case(*which)
        shard_experts(mixture, mesh)
        found[which] = computed(mixture, x_BTD, pads_BT, rows_of(mesh.get_local_rank(), mesh.size()))
    return found


def collectives(mesh):
    """How often which were called, forward and backward, and without gradients."""
    found = {}
    for dispatch in DISPATCHES:
        mixture, x_BTD, _ = case("top 3, shared", dispatch, "any")
        shard_experts(mixture, mesh)
        with CommDebugMode() as forward:
            y = mixture(x_BTD.requires_grad_(), Context(T, x_BTD.device, position=Position()))
        with CommDebugMode() as backward:
            y.sum().backward()
        with CommDebugMode() as looking, torch.no_grad():
            mixture.eval()(x_BTD[:, :1].detach(), Context(1, x_BTD.device, position=Position()))
        counts = [mode.get_comm_counts() for mode in (forward, backward, looking)]
        found[dispatch] = [{str(name): n for name, n in count.items()} for count in counts]
    return found


def uneven(mesh):
    """What is said of experts that do not come out even, and what has become of them."""
    model = torch.nn.ModuleDict({n: FEED_FORWARDS[TopK](TopK(num_experts=e), D) for n, e in (("a", E), ("b", E + 1))})
    try:
        shard_experts(model, mesh)
    except ConfigError as error:
        return str(error), any(isinstance(p, DTensor) for p in model.parameters())


def a_model(mesh):
    """Own rows read at once, and all rows token by token from a cache: by the sharded model, and by the whole one."""
    limited = Switch(expert=GATED, **LIMITED, capacity_factor=2.5)
    blocks = tuple(
        Block(attention=Attention(num_heads=2), feed_forward=mixture)
        for mixture in (limited, TopK(num_experts=E, expert=DENSE, shared_experts=1, dispatch="einsum"))
    )
    whole = build(Decoder(vocab_size=17, context=T, width=12, num_layers=4, blocks=blocks), seed=0).double()
    sharded, tokens_BT = copy.deepcopy(whole), torch.randint(17, (B, T), generator=torch.Generator().manual_seed(1))
    shard_experts(sharded, mesh)
    own, found = tokens_BT[rows_of(mesh.get_local_rank(), mesh.size())], []
    for model in (whole, sharded, copy.deepcopy(sharded)):
        with torch.no_grad():
            cache, steps = model.eval().cache(B), []
            for start, end in ((0, 2), (2, 3), (3, 4), (4, 5)):
                steps.append(model(tokens_BT[:, start:end], cache=cache))
            found.append([model.train()(own), torch.cat(steps, 1)])
    return found, [(name, tuple(p.shape)) for name, p in sharded.named_parameters()] == [
        (name, tuple(p.shape)) for name, p in whole.named_parameters()
    ]


def in_bfloat16(mesh):
    """Rounded by a functional call, rounded for good, and in autocast: beside the whole mixture, with gradients."""
    found = {}
    for dispatch in DISPATCHES:
        for way in ("rounded weights", "rounded module", "autocast"):
            outcome = []
            for sharded in (False, True):
                mixture, x_BTD, _ = case("top 3, shared", dispatch, "any")
                mixture = mixture.to(torch.float32)
                if sharded:
                    shard_experts(mixture, mesh)
                x_BTD, ctx = x_BTD.float(), Context(T, x_BTD.device, position=Position())
                if way == "autocast":
                    with torch.autocast("cpu", torch.bfloat16):
                        y_BTD = mixture(x_BTD, ctx)
                elif way == "rounded module":
                    y_BTD = mixture.bfloat16()(x_BTD.bfloat16(), ctx)
                else:
                    weights = {name: p.bfloat16() for name, p in mixture.named_parameters() if "router" not in name}
                    y_BTD = torch.func.functional_call(mixture, weights, (x_BTD.bfloat16(), ctx))
                y_BTD.float().square().sum().backward()
                grads = {name: p.grad for name, p in mixture.named_parameters() if "experts." in name}
                if sharded:
                    assert all(isinstance(grad, DTensor) for grad in grads.values())
                outcome.append([y_BTD.detach(), {name: _local(grad) for name, grad in grads.items()}])
            found[dispatch, way] = outcome
    return found


def sudden_death(mesh):
    """The last process is gone between forward and backward: what the others then hear, and how soon."""
    mixture, x_BTD, _ = case("switch", "sorted", "any")
    shard_experts(mixture, mesh)
    y_BTD = mixture(x_BTD, Context(T, x_BTD.device, position=Position()))
    if mesh.get_local_rank() == mesh.size() - 1:
        os.kill(os.getpid(), signal.SIGKILL)
    heard, began = [], time.monotonic()
    for again in (
        lambda: y_BTD.sum().backward(),
        lambda: mixture(x_BTD, Context(T, x_BTD.device, position=Position())),
    ):
        try:
            again()
        except RuntimeError as error:
            heard.append(is_of_others(error))
    return heard, time.monotonic() - began


@pytest.fixture(scope="module", params=[2, pytest.param(4, marks=pytest.mark.slow)])
def found(request, tmp_path_factory):
    """What each process found, in order."""
    folder, world = tmp_path_factory.mktemp("processes"), request.param
    environment = os.environ | {
        "PYTHONPATH": str(Path(oneblock.__file__).parents[1]), "OMP_NUM_THREADS": "1", "ONEBLOCK_NO_KERNELS": "1",
    }  # fmt: skip
    meeting = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    processes = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(world), str(folder), str(meeting.port)],
            env=environment, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(world)
    ]  # fmt: skip
    words = [process.communicate(timeout=2 * WAIT.seconds)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert codes == [0] * (world - 1) + [-signal.SIGKILL], "\n".join(words)[-5000:]
    return [torch.load(f"{folder}/{rank}.pt", weights_only=False) for rank in range(world)]


@pytest.mark.parametrize("which", CASES, ids=", ".join)
def test_all_is_as_in_one_process(found, which):
    mixture, x_BTD, pads_BT = case(*which)
    expected = computed(mixture, x_BTD, pads_BT, torch.arange(B))
    parts = [part["equality"][which] for part in found]
    for name in ("y", "x"):
        close(torch.cat([part[name] for part in parts]), expected[name])
    close(sum(part["loss"] for part in parts), expected["loss"])
    assert set(expected["grads"]) == set(parts[0]["grads"])
    for name, grad in expected["grads"].items():
        grads = [part["grads"][name] for part in parts]
        got = torch.cat(grads) if name.startswith("experts.") else sum(grads)
        close(got, grad)


def close(got, expected):
    """To rounding: sums are taken in another order."""
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12 * float(expected.abs().max()))


@pytest.mark.parametrize("dispatch", DISPATCHES)
def test_the_collectives_are_those_declared(found, dispatch):
    """Counts, there and back; backward there and back; none for gradients of weights, nor for anything replicated."""
    for part in found:
        assert part["collectives"][dispatch] == [{"c10d.alltoall_base_": n} for n in (3, 2, 3)]


def test_experts_that_do_not_come_out_even(found):
    for part in found:
        words, touched = part["uneven"]
        assert words.startswith(f"b.num_experts=13 must be shared out evenly over {len(found)} processes; try")
        assert not touched


def test_a_model_with_sharded_experts_says_what_the_whole_one_says(found):
    for part in found:
        (whole, *sharded), same_names = part["a_model"]
        assert same_names
        for one in sharded:
            for expected, got in zip(whole, one, strict=True):
                torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dispatch", DISPATCHES)
@pytest.mark.parametrize("way", ["rounded weights", "rounded module", "autocast"])
def test_in_bfloat16(found, dispatch, way):
    """All processes were given the same rows: the experts' gradients are that many times those of one."""
    outcomes = [part["in_bfloat16"][dispatch, way] for part in found]
    for (expected, _), (got, _) in outcomes:
        assert got.dtype == expected.dtype
        torch.testing.assert_close(got, expected, rtol=0.02, atol=0.02 * float(expected.abs().max()))
    for name, grad in outcomes[0][0][1].items():
        got = torch.cat([sharded[1][name] for _, sharded in outcomes]) / len(found)
        assert got.dtype == grad.dtype
        torch.testing.assert_close(got, grad, rtol=0.03, atol=0.02 * float(grad.abs().max()))


def test_who_is_left_alone_hears_why_and_does_not_wait(found):
    for part in found[:-1]:
        heard, seconds = part["sudden_death"]
        assert heard == [True, True]
        assert seconds < 20


def test_what_is_declared_is_a_placement_for_each_parameter():
    mixture, _, _ = case("top 3, shared", "sorted", "any")
    where = placements(mixture)
    assert list(where) == [name for name, _ in mixture.named_parameters()]
    assert all(place == (Shard(0) if name.startswith("experts.") else Replicate()) for name, place in where.items())
    assert PLACEMENTS["tokens"] == Shard(0) and {"router.weight", "shared.up.weight"} < set(where)


if __name__ == "__main__":
    in_a_process(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
