"""Shift, scale and gate: their order, what they do in a block, and that nothing is there where there are none."""

import pytest
import torch
import torch.nn.functional as F

from oneblock import config
from oneblock.config import AdaLN, AdaLNZero, Attention, Block, Dense, LayerNorm, NoModulation, Only, dit_block
from oneblock.config.init import Xavier
from oneblock.nn.block import make_block
from oneblock.nn.context import Context
from oneblock.nn.init import initialise
from oneblock.nn.modulation import Modulated, make_modulation
from oneblock.nn.position import Position

B, T, D = 2, 5, 12


def block(option, *, stir=0.0):
    torch.manual_seed(0)
    module = make_block(option, D, position=config.NoPosition(), first_slot=0, fused=True).double()
    initialise(module, Xavier(), tied=False)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += stir * torch.randn_like(parameter)
    return module


def inputs():
    torch.manual_seed(1)
    return torch.randn(B, T, D).double(), torch.randn(B, D).double()


def forward(module, x, c):
    return module(x, Context(T, x.device, position=Position(), causal=False, condition_BD=c))


def test_vectors():
    x = torch.tensor([[[2.0, -1.0]]])
    one = Modulated(torch.tensor([[[10.0, 20.0]]]), torch.tensor([[[0.5, -2.0]]]), torch.tensor([[[3.0, 0.0]]]))
    assert one.enter(x).tolist() == [[[13.0, 21.0]]]
    assert one.leave(x).tolist() == [[[6.0, 0.0]]]
    assert one._replace(gate=None).leave(x) is x


@pytest.mark.parametrize(("option", "each"), [(AdaLN(), 2), (AdaLNZero(), 3)])
def test_chunks_are_shift_scale_gate_of_one_branch_after_the_other(option, each):
    names = ["attention", "feed_forward", "attention_2"]
    module, c = make_modulation(option, names, D).double(), inputs()[1]
    assert module.project.weight.shape == (3 * each * D, D)
    made = module(Context(T, c.device, position=Position(), condition_BD=c))
    assert list(made) == names
    whole = F.linear(F.silu(c), module.project.weight, module.project.bias)
    for index, name in enumerate(names):
        for part, tensor in enumerate(made[name][:each]):
            start = (index * each + part) * D
            assert torch.equal(tensor, whole[:, None, start : start + D])
        assert (made[name].gate is None) == (each == 2)


def test_the_papers_block_written_out():
    """x + α₁·MHA(LN(x)(1 + γ₁) + β₁), then x + α₂·MLP(LN(x)(1 + γ₂) + β₂)."""
    module, (x, c) = block(dit_block(3), stir=0.3), inputs()
    p = dict(module.named_parameters())
    b1, g1, a1, b2, g2, a2 = (
        part.unsqueeze(1)
        for part in F.linear(F.silu(c), p["modulation.project.weight"], p["modulation.project.bias"]).chunk(6, dim=1)
    )

    def norm(v):
        return (v - v.mean(-1, keepdim=True)) / (v.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()

    read = norm(x) * (1 + g1) + b1
    q, k, v = (
        t.view(B, T, 3, 4).transpose(1, 2)
        for t in (read @ p["attention.qkv.weight"].T + p["attention.qkv.bias"]).split(D, dim=-1)
    )
    heads = ((q @ k.transpose(2, 3)) / 4**0.5).softmax(-1) @ v
    y = x + a1 * (heads.transpose(1, 2).flatten(2) @ p["attention.output.weight"].T + p["attention.output.bias"])
    read = norm(y) * (1 + g2) + b2
    hidden = F.gelu(read @ p["feed_forward.up.weight"].T + p["feed_forward.up.bias"], approximate="tanh")
    y = y + a2 * (hidden @ p["feed_forward.down.weight"].T + p["feed_forward.down.bias"])
    torch.testing.assert_close(forward(module, x, c), y, rtol=1e-10, atol=1e-12)


def test_zero_is_the_identity_and_its_first_gradient_opens_the_gates():
    module, (x, c) = block(dit_block(3)), inputs()
    out = forward(module, x, c)
    assert torch.equal(out, x)
    out.square().sum().backward()
    weight = module.modulation.project.weight.grad.view(6, D, D).abs().amax(dim=(1, 2))
    assert (weight > 0).tolist() == [False, False, True, False, False, True]
    others = [n for n, p in module.named_parameters() if "modulation" not in n and p.grad.abs().max() > 0]
    assert others == []


def test_without_gates_it_starts_as_the_plain_block():
    gateless = block(Block(attention=Attention(num_heads=3), modulation=AdaLN()))
    plain, (x, c) = block(Block(attention=Attention(num_heads=3))), inputs()
    plain.load_state_dict(gateless.state_dict(), strict=False)
    assert torch.equal(forward(gateless, x, c), forward(plain, x, None))


LAYOUTS = [
    Block(steps=("attention+feed_forward",), shared_norm=True),
    Block(steps=("feed_forward", "attention", "feed_forward")),
    Block(placement="peri", dropout=0.5),
    Block(placement="post"),
    Block(placement="none", feed_forward_only=Only(placement="out")),
]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_can_be_modulated(layout):
    """A gate that is shut makes a contribution 0, and shift and scale reach every branch."""
    settings = vars(layout) | {"attention": Attention(num_heads=3), "feed_forward": Dense(), "norm": LayerNorm()}
    conditioned, plain = block(Block(**settings | {"modulation": AdaLNZero()})).eval(), block(Block(**settings)).eval()
    x, c = inputs()
    plain.load_state_dict(conditioned.state_dict(), strict=False)
    count = sum(map(len, layout.branches))
    project = conditioned.modulation.project
    assert project.weight.shape == (3 * count * D, D)
    with torch.no_grad():
        project.bias.view(count, 3, D)[:, 2] = 1.0
        torch.testing.assert_close(forward(conditioned, x, c), forward(plain, x, None), rtol=1e-12, atol=1e-12)
        project.bias.zero_()
        still = forward(conditioned, x, c)
        for one in plain.modules():
            if hasattr(one, "mix"):
                one.register_forward_hook(lambda module, given, out: 0 * out)
        assert torch.equal(still, forward(plain, x, None))
        for branch in range(count):
            for part in (0, 1):
                project.bias.zero_()
                project.bias.view(count, 3, D)[:, 2] = 1.0
                whole = forward(conditioned, x, c)
                project.bias.view(count, 3, D)[branch, part] = torch.linspace(-1, 1, D)
                assert not torch.allclose(whole, forward(conditioned, x, c))


def test_where_there_is_none_nothing_is_there():
    module = block(Block(attention=Attention(num_heads=3), modulation=NoModulation()))
    assert not [name for name in module.state_dict() if "modulation" in name]
    x, _ = inputs()
    assert torch.equal(module.attention(x, Context(T, x.device, position=Position())), forwarded(module, x))


def forwarded(module, x):
    ctx = Context(T, x.device, position=Position())
    return module.attention.mix(module.attention.norm_in(x), ctx)


def test_a_condition_that_is_missing_says_so():
    module, (x, _) = block(dit_block(3)), inputs()
    with pytest.raises(AssertionError, match="condition_BD"):
        forward(module, x, None)
