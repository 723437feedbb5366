from dataclasses import replace

import pytest
import torch

from oneblock import build
from oneblock.config import (
    Attention,
    Block,
    Dense,
    EncoderDecoder,
    Gated,
    LayerNorm,
    Learned,
    NoPosition,
    OneblockError,
    RMSNorm,
    Scaled,
    Sinusoidal,
    Stack,
    T5Bias,
    presets,
)
from oneblock.nn.context import Memory

V, U, D, H, F, S, T = 11, 13, 24, 3, 31, 7, 5
WITH_MEMORY = ("attention", "cross_attention", "feed_forward")


def config(reads=None, writes=None, encoder=None, decoder=None, **changes):
    reads = reads or Block(attention=Attention(num_heads=H))
    writes = writes or Block(
        steps=WITH_MEMORY, attention=Attention(num_heads=H), cross_attention=Attention(num_heads=H)
    )
    return EncoderDecoder(
        **{
            "source_vocab": V,
            "target_vocab": U,
            "width": D,
            "encoder": Stack(**{"context": S, "num_layers": 1, "blocks": (reads,)} | (encoder or {})),
            "decoder": Stack(**{"context": T, "num_layers": 2, "blocks": (writes,)} | (decoder or {})),
        }
        | changes
    )


def model(*args, **changes):
    return build(config(*args, **changes), seed=0).double().eval()


def tokens(*shape, vocab=V, seed=0):
    return torch.randint(0, vocab, shape, generator=torch.Generator().manual_seed(seed))


def count(option):
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in build(option).parameters())


def copy_linear(theirs, ours):
    theirs.weight.copy_(ours.weight)
    theirs.bias.copy_(ours.bias)


@pytest.mark.parametrize("placement", ["pre", "post"])
@torch.no_grad()
def test_equals_torchs_decoder_layers(placement):
    heads = Attention(num_heads=H, bias=True, output_bias=True)
    writes = Block(
        steps=WITH_MEMORY,
        attention=heads,
        cross_attention=heads,
        feed_forward=Dense(activation="relu", hidden=F, bias=True),
        placement=placement,
    )
    ours = model(writes=writes, decoder={"position": NoPosition()})
    for parameter in ours.parameters():
        parameter += 0.1 * torch.randn_like(parameter)
    layer = torch.nn.TransformerDecoderLayer(
        D, H, F, 0.0, batch_first=True, norm_first=placement == "pre", dtype=torch.float64
    )
    theirs = torch.nn.TransformerDecoder(layer, 2, ours.decoder.norm).eval()
    for one, other in zip(theirs.layers, ours.decoder.blocks, strict=True):
        one.self_attn.in_proj_weight.copy_(other.attention.qkv.weight)
        one.self_attn.in_proj_bias.copy_(other.attention.qkv.bias)
        copy_linear(one.self_attn.out_proj, other.attention.output)
        across = other.cross_attention
        one.multihead_attn.in_proj_weight.copy_(torch.cat([across.query.weight, across.key_value.weight]))
        one.multihead_attn.in_proj_bias.copy_(torch.cat([across.query.bias, across.key_value.bias]))
        copy_linear(one.multihead_attn.out_proj, across.output)
        copy_linear(one.linear1, other.feed_forward.up)
        copy_linear(one.linear2, other.feed_forward.down)
        names = ("attention", "cross_attention", "feed_forward")
        norms = [getattr(other, name).norm_in for name in names]
        if placement == "post":
            norms = [getattr(other, f"{name}_residual").norm for name in names]
        for norm, own in zip((one.norm1, one.norm2, one.norm3), norms, strict=True):
            copy_linear(norm, own)
    source, target = tokens(2, S), tokens(2, T, vocab=U)
    padding = torch.zeros(2, S, dtype=torch.bool)
    padding[1, 4:] = True
    memory = ours.encode(source, padding)
    x = theirs(
        ours.decoder.embedding(target),
        memory,
        tgt_mask=torch.nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64),
        tgt_is_causal=True,
        memory_key_padding_mask=padding,
    )
    torch.testing.assert_close(ours(source, target, padding), x @ ours.decoder.embedding.weight.T)


@torch.no_grad()
def test_the_model_by_hand():
    ours = model(embedding_scale=True, head_scale=True, head_bias=True, logit_soft_cap=2.0, tied=False)
    source, target = tokens(2, S), tokens(2, T, vocab=U)
    memory = ours.encode(source)
    torch.testing.assert_close(memory, ours.encoder.norm(ours.encoder.stream(source)))
    x = ours.decoder.norm(ours.decoder.stream(target, memory=Memory(memory)))
    logits = (x * D**-0.5) @ ours.head.weight.T + ours.head.bias
    torch.testing.assert_close(ours(source, target), 2 * torch.tanh(logits / 2))
    assert not torch.allclose(ours.encoder.embedding.scale(torch.ones(1)), torch.ones(1))


@torch.no_grad()
def test_a_shared_table_is_there_once_and_serves_all_three():
    ours = model(source_vocab=U, shared_embedding=True)
    names = [name for name, parameter in ours.named_parameters() if U in parameter.shape]
    assert names == ["encoder.embedding.weight"] and set(ours.state_dict()) == {n for n, _ in ours.named_parameters()}
    source, target = tokens(1, S), tokens(1, T, vocab=U)
    before = ours(source, target)
    ours.encoder.embedding.weight[12] += 1.0  # not a source token here: the target's and the head's use
    after = ours(source, target)
    assert not torch.equal(before[..., 12], after[..., 12])
    own = model()
    assert {"encoder.embedding.weight", "decoder.embedding.weight"} <= set(own.state_dict())


def test_bad_input_is_named():
    ours = model()
    good = tokens(2, S), tokens(2, T, vocab=U)
    with pytest.raises(OneblockError, match="the source has 8 tokens and encoder.context=7"):
        ours(tokens(2, S + 1), good[1])
    with pytest.raises(OneblockError, match="the target has 6 tokens and decoder.context=5"):
        ours(good[0], tokens(2, T + 1, vocab=U))
    memory, cache = ours.encode(good[0]), ours.cache(2)
    ours.decode(good[1], memory, None, cache)
    with pytest.raises(OneblockError, match="the target has 6 tokens"):
        ours.decode(good[1][:, :1], memory, None, cache)
    with pytest.raises(ValueError, match="padding must be boolean of the sources' shape"):
        ours(*good, torch.zeros(2, T, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"for 1 targets, got \(2, 7, 24\)"):
        ours.decode(good[1][:1], memory)
    with pytest.raises(ValueError, match="padding is the source's"):
        ours.decode(good[1], memory, torch.zeros(2, T, dtype=torch.bool))
    with pytest.raises(ValueError, match="targets must be whole numbers"):
        ours.decode(good[1].double(), memory)


def test_depth_of_the_start_is_each_stacks_own():
    ours = build(config(width=240, encoder={"num_layers": 1}, decoder={"num_layers": 3}), seed=0)
    std = 0.02
    assert ours.encoder.blocks[0].attention.output.weight.std().item() == pytest.approx(std / 2**0.5, rel=0.05)
    last = ours.decoder.blocks[2]
    for weight in (last.attention.output.weight, last.cross_attention.output.weight, last.feed_forward.down.weight):
        assert weight.std().item() == pytest.approx(std / 9**0.5, rel=0.05)
    assert last.cross_attention.key_value.weight.std().item() == pytest.approx(std, rel=0.05)


def test_the_originals_count():
    original = presets.vaswani()
    d, vocab = 512, original.model.source_vocab
    assert count(original) == vocab * d + 6 * (12 * d * d + 13 * d) + 6 * (16 * d * d + 19 * d) == 63_082_496
    d = 256
    small = presets.seq2seq_nano()
    assert count(small) == (32 + 72) * d + 3 * (12 * d * d + 2 * d) + 3 * (16 * d * d + 3 * d) + 2 * d


def t5(*, vocab, width, layers, heads, hidden, gated=False):
    attention = Attention(num_heads=heads, head_width=64, scale=1.0)
    feed_forward = Gated(activation="gelu_tanh", hidden=hidden) if gated else Dense(activation="relu", hidden=hidden)
    parts = {"attention": attention, "feed_forward": feed_forward, "norm": RMSNorm(eps=1e-6)}
    reads, writes = Block(**parts), Block(steps=WITH_MEMORY, cross_attention=attention, **parts)
    around = {"context": 512, "num_layers": layers, "position": T5Bias()}
    return EncoderDecoder(
        source_vocab=vocab, target_vocab=vocab, width=width, shared_embedding=True, tied=not gated,
        head_scale=not gated, encoder=Stack(blocks=(reads,), **around), decoder=Stack(blocks=(writes,), **around),
    )  # fmt: skip


def bart(*, vocab, width, layers, heads, hidden, context):
    attention = Attention(num_heads=heads, bias=True, output_bias=True)
    parts = {"attention": attention, "feed_forward": Dense(hidden=hidden, bias=True), "placement": "post"}
    reads, writes = Block(**parts), Block(steps=WITH_MEMORY, cross_attention=attention, **parts)
    around = {"context": context, "num_layers": layers, "position": Learned(), "embedding_norm": LayerNorm()}
    return EncoderDecoder(
        source_vocab=vocab, target_vocab=vocab, width=width, shared_embedding=True,
        encoder=Stack(blocks=(reads,), **around), decoder=Stack(blocks=(writes,), **around),
    )  # fmt: skip


def test_t5_and_bart_have_their_counts():
    assert count(t5(vocab=32_128, width=512, layers=6, heads=8, hidden=2048)) == 60_506_624
    small = {"vocab": 32_128, "width": 512, "layers": 8, "heads": 6, "hidden": 1024}
    d, inner, f, layers = 512, 6 * 64, 1024, 8
    v1_1 = 2 * 32_128 * d + layers * (4 * d * inner + 3 * d * f + 2 * d) + 2 * 32 * 6 + 2 * d
    v1_1 += layers * (8 * d * inner + 3 * d * f + 3 * d)
    assert count(t5(**small, gated=True)) == v1_1
    # Its learned positions begin with two rows that no text uses.
    large = bart(vocab=50_265, width=1024, layers=12, heads=16, hidden=4096, context=1024)
    assert count(large) == 406_291_456 - 2 * 2 * 1024


def test_deepnorm_is_expressible():
    """α of an encoder and a decoder of 6 layers each, under post-norm (Wang et al. 2022, table)."""
    alphas = 0.81 * (6**4 * 6) ** (1 / 16), (3 * 6) ** 0.25
    assert alphas == pytest.approx((1.417938, 2.059767), abs=1e-6)
    reads, writes = (
        Block(attention=Attention(num_heads=H), placement="post", residual=Scaled(skip=alpha)) for alpha in alphas
    )
    writes = replace(writes, steps=WITH_MEMORY, cross_attention=Attention(num_heads=H))
    ours = model(reads, writes, encoder={"num_layers": 6}, decoder={"num_layers": 6, "position": Sinusoidal()})
    assert ours.encoder.blocks[0].attention_residual.skip.scale == alphas[0]
    assert ours.decoder.blocks[5].cross_attention_residual.skip.scale == alphas[1]
    assert ours(tokens(1, S), tokens(1, T, vocab=U)).isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_half_precision_runs_and_decodes(dtype):
    option = presets.seq2seq_nano()
    half, exact = build(option, seed=0).eval().to(dtype), build(option, seed=0).eval().double()
    exact.load_state_dict(half.state_dict())
    source, target = tokens(2, 9, vocab=32), tokens(2, 6, vocab=72)
    whole = exact(source, target)
    memory, cache = half.encode(source), half.cache(2)
    parts = [half.decode(target[:, start:end], memory, None, cache) for start, end in ((0, 3), (3, 4), (4, 6))]
    for logits in (half(source, target), torch.cat(parts, 1)):
        assert logits.dtype == dtype
        assert ((logits.double() - whole) / whole.abs().max()).abs().max() < 0.06
