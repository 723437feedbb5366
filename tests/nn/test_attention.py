import pytest
import torch
from torch import nn

from oneblock import config
from oneblock.nn.attention import Attention
from oneblock.nn.context import Context
from oneblock.nn.position import Position, Rope

B, T, D = 2, 5, 24


def ctx(length=T, **arguments):
    return Context(length, torch.device("cpu"), position=Position(), **arguments)


def made(option, *, width=D, position=None, **arguments):
    torch.manual_seed(0)
    return Attention(option, width, position=position or Position(), **arguments).double()


def stream(seed=1, width=D):
    return torch.randn(B, T, width, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("causal", [False, True])
def test_against_torch_multihead_with_copied_rows(causal, fused):
    ours = made(config.Attention(num_heads=3, bias=True, output_bias=True), fused=fused)
    theirs = nn.MultiheadAttention(D, 3, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.in_proj_bias.copy_(ours.qkv.bias)
        theirs.out_proj.load_state_dict(ours.output.state_dict())
    x = stream()
    blocked = torch.ones(T, T, dtype=torch.bool).triu(1) if causal else None
    torch.testing.assert_close(ours(x, ctx(causal=causal)), theirs(x, x, x, attn_mask=blocked)[0])


def test_padding_against_torch_multihead():
    ours = made(config.Attention(num_heads=3))
    theirs = nn.MultiheadAttention(D, 3, batch_first=True, bias=False).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.out_proj.weight.copy_(ours.output.weight)
    x = stream()
    padding = torch.tensor([[False] * 5, [False, False, False, True, True]])
    found = ours(x, ctx(causal=False, padding_BS=padding))
    torch.testing.assert_close(found[~padding], theirs(x, x, x, key_padding_mask=padding)[0][~padding])


def by_hand(module, option, x, rope=None):
    """Head by head, with the rows of the fused projection taken apart."""
    heads, groups, width = option.num_heads, option.num_groups, option.width_of_head(D)
    q_rows, k_rows, v_rows = module.qkv.weight.split([heads * width, groups * width, groups * width])
    outs = []
    for head in range(heads):
        group = head * groups // heads
        own, shared = slice(head * width, (head + 1) * width), slice(group * width, (group + 1) * width)
        q, k, v = x @ q_rows[own].T, x @ k_rows[shared].T, x @ v_rows[shared].T
        if option.qk_norm_over == "head":
            q, k = module.q_norm(q), module.k_norm(k)
        else:
            q, k = module.q_norm.norm(x @ q_rows.T)[..., own], module.k_norm.norm(x @ k_rows.T)[..., shared]
        if rope is not None:
            q, k = (side[:, 0] for side in rope.rotate(q[:, None], k[:, None], ctx()))
        scores = q @ k.transpose(1, 2) * (option.scale or width**-0.5)
        scores = scores.masked_fill(torch.ones(T, T, dtype=torch.bool).triu(1), -torch.inf)
        outs.append(scores.softmax(-1) @ v)
    return torch.cat(outs, -1) @ module.output.weight.T


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("scale", [None, 0.7])
@pytest.mark.parametrize("norm", [config.NoNorm(), config.RMSNorm(), config.LayerNorm()])
@pytest.mark.parametrize("over", ["head", "all_heads"])
@pytest.mark.parametrize(("heads", "groups", "width"), [(3, None, None), (6, 3, 10), (6, 1, None), (4, 2, 14)])
def test_head_by_head(heads, groups, width, over, norm, scale, fused):
    option = config.Attention(
        num_heads=heads, num_kv_heads=groups, head_width=width, qk_norm=norm, qk_norm_over=over, scale=scale
    )
    rope = Rope(config.Rope(theta=10.0), option.width_of_head(D))
    module = made(option, position=rope, fused=fused)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, dtype=torch.float64)
    x = stream()
    torch.testing.assert_close(module(x, ctx()), by_hand(module, option, x, rope))


def test_sizes_of_the_fused_projection():
    option = config.Attention(num_heads=6, num_kv_heads=2, head_width=10, bias=True)
    module = made(option)
    assert module.qkv.weight.shape == (6 * 10 + 2 * 2 * 10, D) and module.output.weight.shape == (D, 60)
    assert module.qkv.bias is not None and module.output.bias is None
    assert made(config.Attention(num_heads=3, output_bias=True)).output.bias.shape == (D,)
    whole = made(config.Attention(num_heads=6, num_kv_heads=2, qk_norm=config.RMSNorm(), qk_norm_over="all_heads"))
    assert whole.q_norm.norm.weight.shape == (24,) and whole.k_norm.norm.weight.shape == (8,)
    each = made(config.Attention(num_heads=6, num_kv_heads=2, qk_norm=config.RMSNorm()))
    assert each.q_norm.weight.shape == each.k_norm.weight.shape == (4,)
    assert each.q_norm.weight is not each.k_norm.weight


def test_equal_keys_of_all_groups_make_it_multi_query():
    grouped, single = (
        made(config.Attention(num_heads=6, num_kv_heads=3)),
        made(config.Attention(num_heads=6, num_kv_heads=1)),
    )
    with torch.no_grad():
        q, k, v = single.qkv.weight.split(single.sizes)
        grouped.qkv.weight.copy_(torch.cat([q, k.repeat(3, 1), v.repeat(3, 1)]))
        grouped.output.weight.copy_(single.output.weight)
    torch.testing.assert_close(grouped(stream(), ctx()), single(stream(), ctx()))


def test_window_one_gives_each_tokens_own_value():
    module = made(config.Attention(num_heads=3, window=1))
    x = stream()
    value = x @ module.qkv.weight[2 * D :].T
    torch.testing.assert_close(module(x, ctx()), value @ module.output.weight.T)


@pytest.mark.parametrize("window", [1, 2, 4, None])
def test_the_keys_that_matter(window):
    module = made(config.Attention(num_heads=3, window=window))
    x = stream().requires_grad_()
    for t in range(T):
        (gradient,) = torch.autograd.grad(module(x, ctx())[0, t].sum(), x)
        matter = [s for s in range(T) if gradient[0, s].abs().sum() > 0]
        assert matter == list(range(max(0, t - (window or T) + 1), t + 1))
        assert gradient[1].abs().sum() == 0


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("cap", [None, 2.0])
def test_rows_of_pads_alone_are_finite_and_so_are_their_gradients(fused, cap):
    module = made(config.Attention(num_heads=3, soft_cap=cap), fused=fused)
    x = stream().requires_grad_()
    padding = torch.tensor([[True] * 5, [True, True, False, False, True]])
    found = module(x, ctx(padding_BS=padding))
    found.square().sum().backward()
    assert found.isfinite().all() and x.grad.isfinite().all()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in module.parameters())


def test_soft_cap_bounds_the_scores():
    module = made(config.Attention(num_heads=3, soft_cap=0.1))
    seen = []
    module.attend.softmax.register_forward_pre_hook(lambda m, given: seen.append(given[0]))
    module(100 * stream(), ctx())
    visible = seen[0][seen[0].isfinite()]
    assert visible.abs().max() <= 0.1 and visible.abs().max() > 0.09
