"""PyTorch's layers against ours, in float64: whole outputs and gradients, there and back."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from oneblock.nn.attend import Fused, WrittenOut
from oneblock.nn.attention import Attention
from oneblock.nn.block import Block
from oneblock.nn.cross_attention import CrossAttention
from oneblock.weights.torch_export import to_torch
from oneblock.weights.torch_layers import Blocks, ConversionError, EncoderDecoderBlocks, convert
from oneblock.weights.torch_masks import torch_context

B, T, S, D, H, HIDDEN = 3, 5, 7, 12, 3, 17
INF = float("inf")
CAUSAL = torch.ones(T, T, dtype=torch.bool).triu(1)
PADDING = torch.zeros(B, T, dtype=torch.bool)
PADDING[1, 3:] = True
SOURCE_PADDING = torch.zeros(B, S, dtype=torch.bool)
SOURCE_PADDING[2, 4:] = True


def randomised(module: nn.Module) -> nn.Module:
    """In float64, every parameter drawn: gains and biases too, or half of the layer is untested."""
    torch.manual_seed(0)
    module = module.double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn_like(parameter) / 2)
    return module.eval()


def streams() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((B, T, D), (B, S, D))
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)


def same(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def layer_options(**more):
    return {"d_model": D, "nhead": H, "dim_feedforward": HIDDEN, "dropout": 0.0} | more


OPTIONS = [
    {
        "norm_first": norm_first,
        "activation": activation,
        "bias": bias,
        "batch_first": batch_first,
        "layer_norm_eps": eps,
    }
    for norm_first, activation, bias, (batch_first, eps) in itertools.product(
        (False, True), ("relu", "gelu"), (True, False), ((True, 1e-5), (False, 0.03))
    )
]
MASKS = {
    "none": None,
    "causal": CAUSAL,
    "float causal": nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64),
    "bias": torch.randn(T, T, generator=torch.Generator().manual_seed(2), dtype=torch.float64),
    "bias and blocked": torch.randn(T, T, generator=torch.Generator().manual_seed(2))
    .double()
    .masked_fill(CAUSAL, -INF),
    "each head its own": torch.rand(B * H, T, T, generator=torch.Generator().manual_seed(3)) < 0.3,
    "each head its own bias": torch.randn(B * H, T, T, generator=torch.Generator().manual_seed(3)).double(),
}
MASKS["each head its own"][:, torch.arange(T), torch.arange(T)] = False
PADDINGS = {"none": None, "pads": PADDING, "float pads": torch.zeros(B, T).double().masked_fill(PADDING, -INF)}
PADDINGS["biased pads"] = PADDINGS["float pads"] + torch.linspace(-1, 1, T).double()


def reference(layer: nn.Module, x: torch.Tensor, *rest, **masks) -> torch.Tensor:
    """What PyTorch's layer says of batch-first streams, on its slow path."""
    turn = not next(m for m in layer.modules() if isinstance(m, nn.MultiheadAttention)).batch_first
    streams = [stream.transpose(0, 1) if turn else stream for stream in (x, *rest)]
    out = layer(*streams, **masks)
    return out.transpose(0, 1) if turn else out


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("fused", [True, False])
def test_an_encoder_layer_is_a_block(options, fused):
    layer = randomised(nn.TransformerEncoderLayer(**layer_options(**options)))
    block = convert(layer, fused=fused)
    assert type(block) is Block and not block.training
    assert type(block.attention.attend) is (Fused if fused else WrittenOut)
    x, _ = streams()
    same(block(x, torch_context(x)), reference(layer, x))
    masked = {"src_mask": CAUSAL, "src_key_padding_mask": PADDING}
    same(
        block(x, torch_context(x, mask=CAUSAL, key_padding_mask=PADDING)),
        reference(layer, x, **masked),
    )
    # And back: the same weights under the same names.
    back = to_torch(block, batch_first=options["batch_first"])
    assert type(back) is nn.TransformerEncoderLayer and back.norm_first == options["norm_first"]
    assert back.norm1.eps == options["layer_norm_eps"] and back.activation is getattr(F, options["activation"])
    assert back.self_attn.batch_first == options["batch_first"]
    same_weights(layer, back)
    same(reference(back, x, **masked), reference(layer, x, **masked))


def same_weights(a: nn.Module, b: nn.Module) -> None:
    first, second = a.state_dict(), b.state_dict()
    assert list(first) == list(second)
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype and torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("fused", [True, False])
def test_every_kind_of_mask(mask, padding, fused):
    if mask == "each head its own" and padding != "none":
        pytest.skip("a row that may attend to nothing is NaN in PyTorch")
    layer = randomised(nn.TransformerEncoderLayer(**layer_options(batch_first=True)))
    x, _ = streams()
    attn_mask, pads = MASKS[mask], PADDINGS[padding]
    if attn_mask is not None and pads is not None and attn_mask.dtype != pads.dtype:
        # PyTorch itself wants both of one kind.
        pads = PADDING if attn_mask.dtype == torch.bool else PADDINGS["biased pads"]
    out = convert(layer, fused=fused)(x, torch_context(x, mask=attn_mask, key_padding_mask=pads))
    same(out, layer(x, src_mask=attn_mask, src_key_padding_mask=pads))


@pytest.mark.parametrize("options", OPTIONS, ids=lambda o: "-".join(map(str, o.values())))
@pytest.mark.parametrize("fused", [True, False])
def test_a_decoder_layer_is_a_block_with_cross_attention(options, fused):
    layer = randomised(nn.TransformerDecoderLayer(**layer_options(**options)))
    block = convert(layer, fused=fused)
    assert [names for names, _, _ in block.steps] == [["attention"], ["cross_attention"], ["feed_forward"]]
    x, memory = streams()
    same(block(x, torch_context(x, memory_BSD=memory)), reference(layer, x, memory))
    across = torch.rand(T, S, generator=torch.Generator().manual_seed(5)) < 0.4
    across[:, 0] = False
    ctx = torch_context(
        x,
        mask=CAUSAL,
        key_padding_mask=PADDING,
        memory_BSD=memory,
        memory_mask=across,
        memory_key_padding_mask=SOURCE_PADDING,
    )
    masked = {
        "tgt_mask": CAUSAL,
        "tgt_key_padding_mask": PADDING,
        "memory_mask": across,
        "memory_key_padding_mask": SOURCE_PADDING,
    }
    same(block(x, ctx), reference(layer, x, memory, **masked))
    back = to_torch(block, batch_first=options["batch_first"])
    assert type(back) is nn.TransformerDecoderLayer
    same_weights(layer, back)
    same(reference(back, x, memory, **masked), reference(layer, x, memory, **masked))


@pytest.mark.parametrize("norm", [True, False])
@pytest.mark.parametrize("norm_first", [True, False])
def test_stacks_with_and_without_a_last_norm(norm, norm_first):
    last = nn.LayerNorm(D, eps=0.02) if norm else None
    layer = nn.TransformerEncoderLayer(**layer_options(norm_first=norm_first, batch_first=True))
    stack = randomised(nn.TransformerEncoder(layer, 3, last, enable_nested_tensor=False))
    ours = convert(stack)
    assert type(ours) is Blocks and len(ours.blocks) == 3
    x, memory = streams()
    same(ours(x, torch_context(x, mask=CAUSAL)), stack(x, mask=CAUSAL))
    same_weights(stack, to_torch(ours))
    same(to_torch(ours)(x, mask=CAUSAL), stack(x, mask=CAUSAL))
    layer = nn.TransformerDecoderLayer(**layer_options(norm_first=norm_first, batch_first=True))
    stack = randomised(nn.TransformerDecoder(layer, 2, last))
    ours = convert(stack)
    ctx = torch_context(x, mask=CAUSAL, memory_BSD=memory)
    same(ours(x, ctx), stack(x, memory, tgt_mask=CAUSAL))
    same_weights(stack, to_torch(ours))


@pytest.mark.parametrize("batch_first", [True, False])
def test_a_whole_transformer(batch_first):
    options = {"num_encoder_layers": 2, "num_decoder_layers": 3, "activation": "gelu", "norm_first": True}
    model = randomised(nn.Transformer(D, H, dim_feedforward=HIDDEN, dropout=0.0, batch_first=batch_first, **options))
    ours = convert(model)
    assert type(ours) is EncoderDecoderBlocks
    target, source = streams()
    masks = {
        "tgt_mask": CAUSAL,
        "src_key_padding_mask": SOURCE_PADDING,
        "tgt_key_padding_mask": PADDING,
        "memory_key_padding_mask": SOURCE_PADDING,
    }
    wanted = reference(model, source, target, **masks)
    same(ours(source, target, **masks), wanted)
    back = to_torch(ours, batch_first=batch_first)
    assert type(back) is nn.Transformer and back.batch_first == batch_first
    same_weights(model, back)
    same(reference(back, source, target, **masks), wanted)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_alone(bias, batch_first):
    layer = randomised(nn.MultiheadAttention(D, H, bias=bias, batch_first=batch_first))
    x, memory = streams()
    turned = (lambda stream: stream) if batch_first else (lambda stream: stream.transpose(0, 1))
    ours = convert(layer)
    assert type(ours) is Attention
    wanted = turned(layer(*[turned(x)] * 3, attn_mask=CAUSAL, key_padding_mask=PADDING)[0])
    same(ours(x, torch_context(x, mask=CAUSAL, key_padding_mask=PADDING)), wanted)
    same_weights(layer, to_torch(ours, batch_first=batch_first))
    across = convert(layer, cross=True)
    assert type(across) is CrossAttention
    wanted = turned(layer(turned(x), turned(memory), turned(memory), key_padding_mask=SOURCE_PADDING)[0])
    same(across(x, torch_context(x, memory_BSD=memory, memory_key_padding_mask=SOURCE_PADDING)), wanted)
    same_weights(layer, to_torch(across, batch_first=batch_first))


def test_pytorch_s_own_fast_path_says_the_same():
    layer = randomised(nn.TransformerEncoderLayer(**layer_options(nhead=2, batch_first=True)))
    x, _ = streams()
    with torch.no_grad():
        wanted = layer(x, src_key_padding_mask=PADDING)
        out = convert(layer)(x, torch_context(x, key_padding_mask=PADDING))
    # It leaves pads as they come.
    same(out[~PADDING], wanted[~PADDING])


def test_gradients_are_the_same():
    layer = randomised(nn.TransformerEncoderLayer(**layer_options(batch_first=True, norm_first=True)))
    block = convert(layer)
    x, _ = streams()
    block(x, torch_context(x, mask=CAUSAL)).square().sum().backward()
    layer(x, src_mask=CAUSAL).square().sum().backward()
    same(block.attention.qkv.weight.grad, layer.self_attn.in_proj_weight.grad)
    same(block.feed_forward.up.bias.grad, layer.linear1.bias.grad)
    same(block.attention.norm_in.weight.grad, layer.norm1.weight.grad)


def test_the_weights_are_copies_of_the_same_precision():
    layer = nn.TransformerEncoderLayer(**layer_options(batch_first=True)).to(torch.bfloat16)
    block = convert(layer)
    assert {p.dtype for p in block.parameters()} == {torch.bfloat16} and block.training
    before = layer.linear1.weight.clone()
    with torch.no_grad():
        block.feed_forward.up.weight.zero_()
    assert torch.equal(layer.linear1.weight, before)
    assert all(parameter.requires_grad for parameter in block.parameters())


def test_dropouts_come_along():
    layer = nn.TransformerDecoderLayer(D, H, dropout=0.1)
    layer.self_attn.dropout, layer.multihead_attn.dropout = 0.2, 0.3
    layer.dropout.p, layer.dropout1.p, layer.dropout2.p, layer.dropout3.p = 0.4, 0.5, 0.6, 0.7
    for fused in (True, False):
        block = convert(layer, fused=fused)
        back = to_torch(block)
        assert (back.self_attn.dropout, back.multihead_attn.dropout) == (0.2, 0.3)
        rates = (back.dropout.p, back.dropout1.p, back.dropout2.p, back.dropout3.p)
        assert rates == (0.4, 0.5, 0.6, 0.7)
    assert block.feed_forward.drop.p == 0.7 and block.cross_attention.drop.p == 0.6


@pytest.mark.parametrize(
    ("activation", "name"),
    [
        (F.relu, "relu"),
        (torch.relu, "relu"),
        (nn.ReLU(), "relu"),
        (F.gelu, "gelu"),
        (nn.GELU(), "gelu"),
        (nn.GELU(approximate="tanh"), "gelu_tanh"),
        (F.silu, "silu"),
        (nn.SiLU(), "silu"),
        (torch.sigmoid, "sigmoid"),
    ],
)
def test_activations_as_functions_and_as_modules(activation, name):
    layer = randomised(nn.TransformerEncoderLayer(**layer_options(activation=activation, batch_first=True)))
    x, _ = streams()
    block = convert(layer)
    wanted = layer(x)
    same(block(x, torch_context(x)), wanted)
    same(to_torch(block)(x), wanted)


def test_biases_that_only_some_have_become_zeros():
    from oneblock.config import Attention as AttentionConfig
    from oneblock.config import Block as BlockConfig
    from oneblock.config import NoPosition
    from oneblock.nn.block import make_block

    option = BlockConfig(attention=AttentionConfig(num_heads=H, output_bias=True))
    block = randomised(make_block(option, D, position=NoPosition(), first_slot=0, fused=True))
    x, _ = streams()
    layer = to_torch(block)
    assert not layer.self_attn.in_proj_bias.any() and not layer.linear1.bias.any()
    same(layer(x), block(x, torch_context(x)))


class Odd(nn.TransformerEncoderLayer):
    pass


@pytest.mark.parametrize(
    ("module", "words"),
    [
        (nn.Linear(3, 3), r"Linear cannot be converted; allowed: nn\.MultiheadAttention, .*nn\.Transformer "),
        (Odd(D, H), "no subclasses"),
        (nn.MultiheadAttention(D, H, add_bias_kv=True), "add_bias_kv or add_zero_attn"),
        (nn.MultiheadAttention(D, H, add_zero_attn=True), "add_bias_kv or add_zero_attn"),
        (nn.MultiheadAttention(D, H, kdim=5), r"kdim=5, vdim=12: .*embed_dim=12"),
        (nn.TransformerEncoderLayer(D, H, activation=torch.tanh), "activation .*tanh.* allowed: relu"),
        (nn.TransformerEncoder(Odd(D, H), 2, enable_nested_tensor=False), "no subclasses"),
        (nn.TransformerDecoder(nn.TransformerDecoderLayer(D, H), 2, nn.RMSNorm(D)), r"norm RMSNorm.* nn\.LayerNorm"),
    ],
)
def test_what_has_no_equal_here_is_refused(module, words):
    with pytest.raises(ConversionError, match=words):
        convert(module)


def test_only_attention_alone_can_be_asked_to_read_a_memory():
    with pytest.raises(ConversionError, match=r"cross=True is for nn\.MultiheadAttention"):
        convert(nn.TransformerEncoderLayer(D, H), cross=True)
