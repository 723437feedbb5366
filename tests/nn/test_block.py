"""The block: the layouts' vectors, its names, identity at zeroed branches."""

import itertools

import pytest
import torch
from torch import nn

from oneblock import config
from oneblock.config import Added, Alibi, Attention, Block, LayerNorm, NoResidual, RMSNorm, Scaled
from oneblock.nn.block import assemble, make_block
from oneblock.nn.branch import Branch, Residual
from oneblock.nn.context import Context
from oneblock.nn.position import Position

X = torch.tensor([2.0, 1.0, -1.0], dtype=torch.float64)
W = torch.tensor([[1, 2, 0], [0, 1, -1], [2, 0, 1]], dtype=torch.float64)
SMALLEST = 1e-30
LAYER, RMS = LayerNorm(eps=SMALLEST), RMSNorm(eps=SMALLEST)


class Linear(Branch):
    """F(v) = W v."""

    def mix(self, x, ctx):
        return x @ W.T


class Shift(Branch):
    """G(v) = (v₃, v₁, v₂)."""

    def mix(self, x, ctx):
        return x.roll(1, -1)


def toy(name, norm_in, norm_out, dropout):
    return {"attention": Linear, "feed_forward": Shift}[name](norm_in, norm_out, dropout)


def run(**settings):
    block = assemble(Block(**{"steps": ("attention",)} | settings), 3, toy).double()
    with torch.no_grad():
        return block(X, None)


@pytest.mark.parametrize(
    ("settings", "norm", "expected"),
    [
        ({"placement": "post"}, LAYER, (1.372813, -0.392232, -0.980581)),
        ({"placement": "post"}, RMS, (1.484615, 0.742307, 0.494872)),
        ({"placement": "pre"}, LAYER, (3.603567, 2.603567, -0.198216)),
        ({"placement": "pre"}, RMS, (4.828427, 2.414214, 1.121320)),
        ({"placement": "peri"}, LAYER, (2.707107, 1.707107, -2.414214)),
        ({"placement": "peri"}, RMS, (3.286535, 1.643268, -0.035099)),
        ({"placement": "out"}, LAYER, (3.224745, -0.224745, -1.0)),
        ({"placement": "out"}, RMS, (3.286535, 1.643268, -0.035099)),
        ({"placement": "none"}, LAYER, (6.0, 3.0, 2.0)),
        ({"placement": "post", "residual": Scaled(skip=2)}, LAYER, (1.278724, -0.116248, -1.162476)),
        ({"placement": "post", "residual": Scaled(skip=2)}, RMS, (1.539601, 0.769800, 0.192450)),
        ({"placement": "none", "residual": NoResidual()}, LAYER, (4.0, 2.0, 3.0)),
        ({"placement": "none", "residual": Scaled(skip=2, branch=-0.5)}, LAYER, (2.0, 1.0, -3.5)),
        ({"placement": "none", "residual": Scaled(branch=0.5, learned="scalar")}, LAYER, (4.0, 2.0, 0.5)),
        ({"placement": "none", "residual": Scaled(branch=0.5, learned="vector")}, LAYER, (4.0, 2.0, 0.5)),
        ({"placement": "none", "residual": Scaled(branch=0, learned="scalar")}, LAYER, (2.0, 1.0, -1.0)),
        ({"steps": ("attention+feed_forward",), "shared_norm": True}, LAYER, (2.267261, 3.672612, 0.069045)),
        ({"steps": ("attention+feed_forward",)}, LAYER, (2.267261, 3.672612, 0.069045)),
        ({"steps": ("feed_forward+attention",)}, LAYER, (2.267261, 3.672612, 0.069045)),
        ({"steps": ("attention", "feed_forward")}, LAYER, (2.235626, 3.598266, 0.175027)),
    ],
)
def test_vectors(settings, norm, expected):
    found = run(norm=norm, **settings)
    torch.testing.assert_close(found, torch.tensor(expected).double(), atol=6e-7, rtol=0)


def test_what_peri_norm_is_not():
    wrong = torch.tensor([0.994699, 0.373243, -1.367942]).double()
    assert (run(norm=LAYER, placement="peri") - wrong).abs().max() > 0.5


def block(option, width=12):
    torch.manual_seed(0)
    return make_block(option, width, position=config.NoPosition(), first_slot=0, fused=True).double()


def forward(module, x):
    return module(x, Context(x.shape[1], x.device, position=Position()))


@pytest.mark.parametrize(
    "steps", [("attention", "feed_forward"), ("feed_forward+attention",), ("attention", "attention")]
)
@pytest.mark.parametrize("placement", ["pre", "peri", "out", "none"])
@pytest.mark.parametrize("norm", [LayerNorm(), RMSNorm()])
@pytest.mark.parametrize("residual", [Added(), Scaled(branch=0.3), Scaled(branch=0.3, learned="vector")])
def test_zeroed_branches_make_it_exactly_the_identity(placement, steps, norm, residual):
    option = Block(steps=steps, placement=placement, norm=norm, residual=residual, attention=Attention(num_heads=3))
    module, x = block(option), torch.randn(2, 5, 12).double()
    assert not torch.equal(forward(module, x), x)
    with torch.no_grad():
        for name, weight in module.named_parameters():
            if "output" in name or "down" in name:
                weight.zero_()
    assert torch.equal(forward(module, x), x)


def test_rezero_starts_as_the_identity_and_learns():
    option = Block(residual=Scaled(branch=0, learned="scalar"), placement="none", attention=Attention(num_heads=3))
    module, x = block(option), torch.randn(2, 5, 12).double()
    out = forward(module, x)
    assert torch.equal(out, x)
    out.square().sum().backward()
    assert module.attention_residual.scale.weight.grad.abs().item() > 0
    assert module.attention_residual.scale.weight.dtype == torch.float64


def test_post_norm_leaves_the_stream_normed_and_pre_norm_does_not():
    x = 7 * torch.randn(2, 5, 12).double()
    for placement, normed in (("post", True), ("pre", False), ("peri", False), ("out", False)):
        out = forward(block(Block(placement=placement, attention=Attention(num_heads=3))), x)
        assert torch.allclose(out.std(-1, unbiased=False), torch.ones(2, 5).double(), atol=1e-3) == normed


def keys(**settings):
    return set(block(Block(**{"attention": Attention(num_heads=3), "norm": RMSNorm()} | settings)).state_dict())


MIXERS = {
    "attention.qkv.weight",
    "attention.output.weight",
    "feed_forward.up.weight",
    "feed_forward.down.weight",
}


def test_parameters_stand_under_readable_names():
    assert keys() == MIXERS | {"attention.norm_in.weight", "feed_forward.norm_in.weight"}
    assert keys(placement="post") == MIXERS | {
        "attention_residual.norm.weight",
        "feed_forward_residual.norm.weight",
    }
    assert keys(placement="peri") == MIXERS | {
        f"{branch}.{norm}.weight" for branch in ("attention", "feed_forward") for norm in ("norm_in", "norm_out")
    }
    assert keys(placement="none") == MIXERS
    assert keys(steps=("attention+feed_forward",), shared_norm=True) == MIXERS | {"attention_feed_forward_norm.weight"}
    assert len(keys(steps=("attention", "feed_forward", "attention", "feed_forward"))) == 12
    assert "attention_2.qkv.weight" in keys(steps=("attention", "attention+feed_forward"))
    assert "attention_3.qkv.weight" in keys(steps=("attention",) * 3)
    assert "feed_forward_residual.scale.weight" in keys(residual=Scaled(learned="vector"))


def test_no_two_branches_or_norms_are_one_object():
    option = Block(steps=("attention", "feed_forward") * 2, placement="peri", attention=Attention(num_heads=3))
    parameters = list(block(option).parameters())
    assert len({p.data_ptr() for p in parameters}) == len(parameters)


def test_dropout_on_each_contribution_before_it_joins():
    option = Block(dropout=0.5, placement="none", steps=("attention+feed_forward",), residual=NoResidual())

    class One(Branch):
        def mix(self, x, ctx):
            return torch.ones_like(x)

    module = assemble(option, 3, lambda name, norm_in, norm_out, dropout: One(norm_in, norm_out, dropout))
    torch.manual_seed(0)
    out = module(torch.zeros(997, 3), None)
    counts = [(out == value).double().mean().item() for value in (0, 2, 4)]
    for found, expected in zip(counts, (0.25, 0.5, 0.25), strict=True):
        assert found == pytest.approx(expected, abs=0.05)
    assert (module.eval()(torch.zeros(2, 3), None) == 2).all()


def test_dropout_stands_behind_the_out_norm_and_before_the_stream_norm():
    class Recorder(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.name = name

        def forward(self, x):
            calls.append(self.name)
            return x

    calls = []
    branch = Linear(Recorder("in"), Recorder("out"))
    branch.drop = Recorder("drop")
    residual = Residual(Recorder("skip"), Recorder("scale"), Recorder("norm"))
    residual(X, branch(X, None))
    assert calls == ["in", "out", "drop", "scale", "skip", "norm"]


def test_every_branch_has_its_own_choice():
    option = Block(
        attention=Attention(num_heads=3),
        attention_only=config.Only(placement="post", norm=RMSNorm(), dropout=0.0),
        feed_forward_only=config.Only(residual=NoResidual()),
        dropout=0.25,
    )
    module = block(option)
    assert isinstance(module.attention.norm_in, nn.Identity) and module.attention_residual.norm.weight.shape == (12,)
    assert isinstance(module.attention.drop, nn.Identity) and module.feed_forward.drop.p == 0.25
    assert module.feed_forward_residual.skip is None and module.attention_residual.skip is not None


def test_an_undefined_mixer_says_so():
    with pytest.raises(TypeError, match="abstract class Branch .*mix"):
        Branch()


def test_slots_are_numbered_through_a_block():
    option = Block(steps=("attention", "feed_forward", "attention"), attention=Attention(num_heads=3, position=Alibi()))
    module = make_block(option, 12, position=config.NoPosition(), first_slot=5, fused=True)
    assert (module.attention.slot, module.attention_2.slot) == (5, 6)


def test_order_matters_and_parallel_is_not_serial():
    x = torch.randn(2, 5, 12).double()
    outs = []
    for steps in (("attention", "feed_forward"), ("feed_forward", "attention"), ("attention+feed_forward",)):
        module = block(Block(steps=steps, attention=Attention(num_heads=3)))
        with torch.no_grad():
            for _, weight in sorted(module.named_parameters()):
                weight.copy_(torch.linspace(-1, 1, weight.numel()).view(weight.shape).sin())
        outs.append(forward(module, x))
    assert all(not torch.allclose(a, b) for a, b in itertools.combinations(outs, 2))
