import pytest
from torch import nn

from oneblock.config import (
    Added,
    Alibi,
    Attention,
    Block,
    Dense,
    Gated,
    LayerNorm,
    NoPosition,
    NoResidual,
    Only,
    RMSNorm,
    Rope,
    Scaled,
)
from oneblock.nn.block import make_block
from oneblock.weights.torch_export import to_torch
from oneblock.weights.torch_layers import Blocks, ConversionError

D, H = 12, 3


def block(position=None, steps=None, **fields):
    fields = {"attention": Attention(num_heads=H), **fields}
    if steps:
        fields["steps"] = steps
    return make_block(Block(**fields), D, position=position or NoPosition(), first_slot=0, fused=True)


def test_a_plain_block_can_be_said():
    layer = to_torch(block(residual=Added(), norm=LayerNorm(eps=0.25), feed_forward=Dense(hidden=19)))
    assert layer.norm2.eps == 0.25 and layer.linear1.out_features == 19 and layer.norm_first


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Linear(3, 3), "Linear has no equal in torch.nn; allowed: Attention, CrossAttention, Block, Blocks"),
        (block(position=Rope()), r"positions inside attention \(Rope\); wanted: none"),
        (block(position=Alibi()), "positions inside attention"),
        (block(steps=("feed_forward", "attention")), "the steps"),
        (block(steps=("attention+feed_forward",)), "the steps"),
        (block(steps=("attention",)), "the steps"),
        (block(placement="peri"), "a norm behind attention; wanted: placement pre or post"),
        (block(placement="none"), "norms that are no LayerNorms"),
        (block(norm=RMSNorm()), "norms that are no LayerNorms"),
        (block(feed_forward_only=Only(placement="post")), "norms that are no LayerNorms all in front or all"),
        (block(residual=NoResidual()), "the residual of attention, scaled or off"),
        (block(residual=Scaled(skip=2.0)), "the residual of attention"),
        (block(residual=Scaled(learned="vector")), "the residual of attention"),
        (block(feed_forward=Gated()), "a Gated feed-forward; wanted: Dense"),
        (block(attention=Attention(num_heads=H, num_kv_heads=1)), "1 key/value heads for 3 heads"),
        (block(attention=Attention(num_heads=H, head_width=8)), "heads of 8 in a width of 12"),
        (block(attention=Attention(num_heads=H, window=3)), "a window of 3"),
        (block(attention=Attention(num_heads=H, qk_norm=LayerNorm())), "norms on queries and keys"),
        (block(attention=Attention(num_heads=H, soft_cap=5.0)), "a soft cap"),
        (block(attention=Attention(num_heads=H, scale=1.0)), r"the scale 1.0; wanted: 1/√head_width"),
        (Blocks([], None), "0 blocks of 0 kinds"),
        (Blocks([block()], nn.RMSNorm(D)), "the last norm RMSNorm"),
        (block().attention, "a norm of its own"),
    ],
)
def test_what_pytorch_s_layers_cannot_say_is_refused(module, words):
    with pytest.raises(ConversionError, match=words):
        to_torch(module)
