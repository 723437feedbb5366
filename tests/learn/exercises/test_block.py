"""The block: the reference against what others compute."""

import torch

from oneblock.learn.exercises import text_of
from oneblock.learn.exercises.block.asking import block_steps


def test_the_reference_and_the_checks_are_torchs_own():
    names: dict = {}
    exec(text_of("block", "reference"), names)
    block = names["Block"](6, 3, 11).double()
    layer = torch.nn.TransformerEncoderLayer(
        6, 3, 11, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    theirs = dict(
        zip(
            ("norm1", "norm2", "linear1", "linear2", "self_attn.out_proj"),
            (block.norm1, block.norm2, block.feed_forward.up, block.feed_forward.down, block.attention.output),
            strict=True,
        )
    )
    with torch.no_grad():
        for name, module in theirs.items():
            module.weight.copy_(torch.randn(module.weight.shape))
            layer.get_submodule(name).weight.copy_(module.weight)
            if name.startswith("norm"):
                module.bias.copy_(torch.randn(module.bias.shape))
                layer.get_submodule(name).bias.copy_(module.bias)
            else:
                layer.get_submodule(name).bias.zero_()
        layer.self_attn.in_proj_weight.copy_(block.attention.qkv.weight)
        layer.self_attn.in_proj_bias.zero_()
    x = torch.randn(2, 5, 6).double()
    right = layer(x, src_mask=torch.ones(5, 5, dtype=torch.bool).triu(1))
    torch.testing.assert_close(block(x), right)
    torch.testing.assert_close(block_steps(block.state_dict(), 3, x, "none")["the answer"], right)
