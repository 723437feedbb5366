import pytest
import torch

from oneblock import build
from oneblock.config import (
    Attention,
    Block,
    Dense,
    Encoder,
    FirstPool,
    LayerNorm,
    Learned,
    MeanPool,
    NoHead,
    NoPosition,
    OneblockError,
    T5Bias,
    TransformedHead,
    presets,
)
from oneblock.nn.attention import Attention as AttentionModule
from oneblock.nn.dense import Dense as DenseModule

V, D, H, F, T = 11, 24, 3, 31, 7


def model(block=None, **changes):
    block = block or Block(attention=Attention(num_heads=H))
    settings = {"vocab_size": V, "context": T, "width": D, "num_layers": 2, "blocks": (block,)}
    return build(Encoder(**settings | changes), seed=0).double().eval()


def tokens(*shape, seed=0):
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(seed))


def stir(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)


def copy_linear(theirs, ours):
    theirs.weight.copy_(ours.weight)
    theirs.bias.copy_(ours.bias)


def copy_attention(theirs, ours: AttentionModule):
    theirs.in_proj_weight.copy_(ours.qkv.weight)
    theirs.in_proj_bias.copy_(ours.qkv.bias)
    copy_linear(theirs.out_proj, ours.output)


def copy_feed_forward(theirs, ours: DenseModule):
    copy_linear(theirs.linear1, ours.up)
    copy_linear(theirs.linear2, ours.down)


@pytest.mark.parametrize("placement", ["pre", "post"])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@torch.no_grad()
def test_equals_torchs_encoder_layers(placement, activation):
    block = Block(
        attention=Attention(num_heads=H, bias=True, output_bias=True),
        feed_forward=Dense(activation=activation, hidden=F, bias=True),
        placement=placement,
    )
    ours = model(block, head=NoHead(), position=Learned())
    stir(ours)
    layer = torch.nn.TransformerEncoderLayer(
        D, H, F, 0.0, activation, batch_first=True, norm_first=placement == "pre", dtype=torch.float64
    )
    theirs = torch.nn.TransformerEncoder(layer, 2, ours.norm, enable_nested_tensor=False).eval()
    for one, other in zip(theirs.layers, ours.blocks, strict=True):
        copy_attention(one.self_attn, other.attention)
        copy_feed_forward(one, other.feed_forward)
        side = "norm_in" if placement == "pre" else "norm"
        owners = (other.attention, other.feed_forward)
        if placement == "post":
            owners = (other.attention_residual, other.feed_forward_residual)
        for norm, owner in zip((one.norm1, one.norm2), owners, strict=True):
            copy_linear(norm, getattr(owner, side))
    ids, padding = tokens(3, T), torch.zeros(3, T, dtype=torch.bool)
    padding[1, 5:] = padding[2, 2:] = True
    x = ours.embedding(ids) + ours.position.weight
    torch.testing.assert_close(ours(ids), theirs(x))
    torch.testing.assert_close(ours(ids, padding)[~padding], theirs(x, src_key_padding_mask=padding)[~padding])


@torch.no_grad()
def test_without_positions_it_is_permutation_equivariant():
    order = torch.tensor([3, 0, 6, 1, 5, 2, 4])
    ids = tokens(2, T)
    blind = model(position=NoPosition())
    stir(blind)
    torch.testing.assert_close(blind(ids[:, order]), blind(ids)[:, order])
    torch.testing.assert_close(blind.vectors(ids[:, order]), blind.vectors(ids))
    for position in (Learned(), T5Bias()):
        sees = model(position=position)
        stir(sees)
        assert not torch.allclose(sees(ids[:, order]), sees(ids)[:, order])


@torch.no_grad()
def test_t5s_buckets_of_both_sides():
    relative = [-1000, -128, -91, -90, -64, -63, -20, -8, -1, 0, 1, 8, 12, 64, 91]
    expected = [15, 15, 15, 14, 14, 13, 10, 8, 1, 0, 17, 24, 25, 30, 31]
    table = model(position=T5Bias()).position
    distance = -torch.tensor(relative)  # memory − query there, query − key here
    assert table.bucket(distance, causal=False).tolist() == expected


@torch.no_grad()
def test_a_transformed_head_by_hand():
    encoder = model(head=TransformedHead(activation="gelu", norm=LayerNorm(eps=1e-3)))
    stir(encoder)
    x = encoder.norm(encoder.stream(tokens(2, T)))
    hidden = torch.nn.functional.gelu(x @ encoder.head.dense.weight.T + encoder.head.dense.bias)
    norm = encoder.head.norm
    normed = torch.nn.functional.layer_norm(hidden, (D,), norm.weight, norm.bias, 1e-3)
    expected = normed @ encoder.embedding.weight.T + encoder.head.logits.bias
    torch.testing.assert_close(encoder(tokens(2, T)), expected)


@torch.no_grad()
def test_segments_by_hand():
    one, several = model(embedding_norm=LayerNorm()), model(embedding_norm=LayerNorm(), num_segments=3)
    stir(several)
    missing, unexpected = one.load_state_dict(several.state_dict(), strict=False)
    assert (missing, unexpected) == ([], ["embedding.segments.weight"])
    ids, segments = tokens(2, T), tokens(2, T, seed=1) % 3
    expected = one.embedding.norm(one.embedding(ids) + several.embedding.segments.weight[segments])
    handle = one.embedding.norm.register_forward_hook(lambda *_: expected)
    answer, vectors = one(ids), one.vectors(ids)
    handle.remove()
    torch.testing.assert_close(several(ids, segments=segments), answer)
    torch.testing.assert_close(several.vectors(ids, segments=segments), vectors)
    torch.testing.assert_close(several(ids), several(ids, segments=torch.zeros_like(ids)))
    assert not torch.allclose(several(ids), answer)


def test_wrong_segments_are_named():
    several, ids = model(num_segments=3), tokens(2, T)
    with pytest.raises(
        ValueError, match=r"segments must be whole numbers of the tokens' shape \(2, 7\), got torch.int64 \(7,\)"
    ):
        several(ids, segments=ids[0])
    for dtype in (torch.float32, torch.bool):
        with pytest.raises(ValueError, match=f"got {dtype}"):
            several(ids, segments=torch.zeros(2, T, dtype=dtype))
    for wrong in (3, -1):
        with pytest.raises(ValueError, match=f"segment {wrong} is not one of the model's, 0…2"):
            several(ids, segments=torch.full_like(ids, wrong))
    with pytest.raises(ValueError, match="a model without segments"):
        model()(ids, segments=torch.zeros_like(ids))


@pytest.mark.parametrize("normalise", [False, True])
@pytest.mark.parametrize("pool", [MeanPool, FirstPool])
@torch.no_grad()
def test_a_row_of_pads_alone_gives_zero(pool, normalise):
    encoder = model(pool=pool(normalise=normalise))
    padding = torch.zeros(2, T, dtype=torch.bool)
    padding[1] = True
    vectors = encoder.vectors(tokens(2, T), padding)
    assert vectors.isfinite().all() and vectors[1].eq(0).all() and vectors[0].ne(0).any()
    if normalise:
        torch.testing.assert_close(vectors[0].norm(), torch.ones((), dtype=torch.float64))


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match=r"B × T, got torch.int64 \(7,\)"):
        model()(tokens(T))
    with pytest.raises(ValueError, match="padding must be boolean"):
        model().vectors(tokens(2, T), torch.zeros(2, T))
    with pytest.raises(OneblockError, match="end at context=7"):
        model(position=Learned())(tokens(1, T + 1))


def test_bert_and_the_preset_have_their_counts():
    def count(config):
        with torch.device("meta"):
            return sum(parameter.numel() for parameter in build(config).parameters())

    d, f, layers, vocab, context = 768, 3072, 12, 30_522, 512
    block = Block(
        attention=Attention(num_heads=12, bias=True, output_bias=True),
        feed_forward=Dense(hidden=f, bias=True),
        norm=LayerNorm(eps=1e-12),
        placement="post",
    )
    bert = Encoder(
        vocab_size=vocab, context=context, width=d, num_layers=layers, blocks=(block,), position=Learned(),
        embedding_norm=LayerNorm(eps=1e-12), head=TransformedHead(norm=LayerNorm(eps=1e-12)), num_segments=2,
    )  # fmt: skip
    formula = (vocab + context + 2) * d + 2 * d + layers * (4 * (d * d + d) + 2 * d * f + f + d + 4 * d)
    assert count(bert) == formula + (d * d + d) + 2 * d + vocab == 109_514_298
    d = 256
    assert count(presets.encoder_nano()) == 66 * d + 4 * (12 * d * d + 2 * d) + d
