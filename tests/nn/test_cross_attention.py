import pytest
import torch

from oneblock.config import Attention, LayerNorm, RMSNorm
from oneblock.nn.cache import Cache
from oneblock.nn.context import Context, Memory
from oneblock.nn.cross_attention import CrossAttention
from oneblock.nn.position import Position

B, T, S, D, H = 2, 3, 5, 12, 4


def made(fused=True, norm_in=None, **options):
    torch.manual_seed(0)
    option = Attention(**{"num_heads": H, "bias": True, "output_bias": True} | options)
    return CrossAttention(option, D, fused=fused, norm_in=norm_in).double()


def context(memory, padding=None, cache=None):
    return Context(T, memory.device, position=Position(), cache=cache, memory=Memory(memory, padding))


def numbers():
    generator = torch.Generator().manual_seed(1)
    x, memory = (torch.randn(B, n, D, generator=generator, dtype=torch.float64) for n in (T, S))
    padding = torch.zeros(B, S, dtype=torch.bool)
    padding[1, [0, 3]] = True
    return x, memory, padding


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("padded", [False, True])
def test_equals_torchs_multi_head_attention(fused, padded):
    ours, theirs = made(fused), torch.nn.MultiheadAttention(D, H, batch_first=True, dtype=torch.float64)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.weight.copy_(ours.output.weight)
        theirs.out_proj.bias.copy_(ours.output.bias)
    x, memory, padding = numbers()
    padding = padding if padded else None
    # True = blocked, in this one of torch's two senses.
    expected, _ = theirs(x, memory, memory, key_padding_mask=padding)
    torch.testing.assert_close(ours(x, context(memory, padding)), expected)


@pytest.mark.parametrize("over", ["head", "all_heads"])
def test_groups_and_norms_by_hand(over):
    ours = made(num_kv_heads=2, head_width=5, qk_norm=RMSNorm(), qk_norm_over=over, scale=0.7, bias=False)
    x, memory, padding = numbers()
    q = (x @ ours.query.weight.T).view(B, T, H, 5)
    k, v = (part.view(B, S, 2, 5) for part in (memory @ ours.key_value.weight.T).split([10, 10], dim=-1))

    def normed(y):
        flat = y if over == "head" else y.flatten(2)
        return (flat / (flat.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()).view(y.shape)

    q, k = normed(q), normed(k)
    heads = []
    for head in range(H):
        scores = 0.7 * q[:, :, head] @ k[:, :, head // 2].transpose(1, 2)
        heads.append(scores.masked_fill(padding[:, None], -torch.inf).softmax(-1) @ v[:, :, head // 2])
    expected = torch.cat(heads, -1) @ ours.output.weight.T + ours.output.bias
    torch.testing.assert_close(ours(x, context(memory, padding)), expected)


def test_the_norm_in_front_is_the_queries_alone():
    ours = made(norm_in=torch.nn.LayerNorm(D, dtype=torch.float64))
    x, memory, _ = numbers()
    answer = ours(x, context(memory))
    torch.testing.assert_close(ours(5 * x, context(memory)), answer, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(ours(x, context(5 * memory)), answer)


def test_queries_do_not_meet_and_the_memorys_order_is_not_seen():
    ours = made(qk_norm=LayerNorm())
    x, memory, padding = numbers()
    answer, order = ours(x, context(memory, padding)), torch.tensor([3, 0, 4, 1, 2])
    turned = ours(x, context(memory[:, order], padding[:, order]))
    torch.testing.assert_close(turned, answer)
    torch.testing.assert_close(ours(x[:, [2, 0, 1]], context(memory, padding)), answer[:, [2, 0, 1]])


@pytest.mark.parametrize("fused", [True, False])
def test_pads_change_nothing_and_a_source_of_pads_alone_is_finite(fused):
    ours = made(fused)
    x, memory, padding = numbers()
    garbage = memory.masked_fill(padding[..., None], 1e4)
    torch.testing.assert_close(ours(x, context(garbage, padding)), ours(x, context(memory, padding)))
    padding[0] = True
    x.requires_grad_()
    answer = ours(x, context(memory, padding))
    answer.sum().backward()
    assert answer.isfinite().all() and x.grad.isfinite().all()


def test_a_cache_projects_once_and_keeps_to_one_memory():
    ours, cache = made(), Cache([], B, 7)
    x, memory, _ = numbers()
    calls = []
    ours.key_value.register_forward_hook(lambda *_: calls.append(1))
    first = ours(x, context(memory, cache=cache))
    assert torch.equal(ours(x, context(memory, cache=cache)), first) and len(calls) == 1
    assert cache.num_bytes == 2 * B * S * D * 8
    with pytest.raises(ValueError, match="another memory"):
        ours(x, context(memory.clone(), cache=cache))
    cache.clear()
    assert cache.num_bytes == 0
    torch.testing.assert_close(ours(x, context(2 * memory, cache=cache)), ours(x, context(2 * memory)))
    assert len(calls) == 3
