import pytest
import torch

from oneblock import build
from oneblock.config import (
    Alibi,
    Attention,
    Block,
    Decoder,
    Learned,
    NoNorm,
    OneblockError,
    RMSNorm,
    Scaled,
    Sinusoidal,
    T5Bias,
    presets,
)

V, D, T = 11, 24, 7


def model(*blocks, **changes):
    blocks = blocks or (Block(attention=Attention(num_heads=3)),)
    settings = {"vocab_size": V, "context": T, "width": D, "num_layers": 2, "blocks": blocks}
    return build(Decoder(**settings | changes), seed=0).double().eval()


def tokens(*shape, seed=0):
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_the_stack_by_hand():
    decoder = model(
        embedding_scale=True,
        embedding_norm=RMSNorm(),
        position=Sinusoidal(),
        head_bias=True,
        tied=False,
        logit_soft_cap=2.0,
        final_norm=RMSNorm(),
    )
    ids = tokens(2, 5)
    ctx = decoder._context(ids, None, None)
    x = decoder.embedding.weight[ids] * D**0.5
    x = decoder.embedding.norm(decoder.position.embed(x, ctx))
    for block in decoder.blocks:
        x = block(x, ctx)
    torch.testing.assert_close(decoder.stream(ids), x)
    logits = decoder.norm(x) @ decoder.head.weight.T + decoder.head.bias
    torch.testing.assert_close(decoder(ids), 2 * torch.tanh(logits / 2))
    assert decoder(ids).abs().max() < 2


@torch.no_grad()
def test_a_tied_head_is_the_embedding():
    decoder = model(head_bias=True)
    names = set(decoder.state_dict())
    assert "embedding.weight" in names and "head.bias" in names and "head.weight" not in names
    decoder.head.bias.normal_()
    x = decoder.norm(decoder.stream(tokens(2, 3)))
    torch.testing.assert_close(decoder(tokens(2, 3)), x @ decoder.embedding.weight.T + decoder.head.bias)


@torch.no_grad()
def test_without_positions_and_mask_order_cannot_be_seen_but_through_the_mask():
    ids = tokens(1, T)
    shuffled = torch.cat([ids[:, :-1].flip(1), ids[:, -1:]], 1)
    for position, sees in ((Alibi(), True), (Learned(), True), (T5Bias(), True)):
        decoder = model(position=position, num_layers=1)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter += 0.2 * torch.randn_like(parameter)
        assert (not torch.allclose(decoder(ids)[:, -1], decoder(shuffled)[:, -1])) == sees
    alone = model(Block(attention=Attention(num_heads=3, position=Alibi())), position=T5Bias(), num_layers=1)
    assert not torch.allclose(alone(ids)[:, -1], alone(shuffled)[:, -1])


@torch.no_grad()
def test_t5_table_is_one_for_the_layers_that_share_it():
    own = Block(attention=Attention(num_heads=4, position=Alibi()))
    shared = Block(attention=Attention(num_heads=3))
    no_attention = Block(steps=("feed_forward",), attention=Attention(num_heads=6))
    decoder = model(own, shared, no_attention, position=T5Bias(), num_layers=3)
    assert decoder.position.weight.shape == (32, 3) and decoder(tokens(2, T)).isfinite().all()
    every = model(own, position=T5Bias())
    assert not any("position" in name for name, _ in every.named_parameters())
    each = model(Block(attention=Attention(num_heads=3, position=T5Bias())), position=T5Bias())
    assert sum("position" in name for name, _ in each.named_parameters()) == 2


@torch.no_grad()
def test_a_final_norm_makes_the_logits_blind_to_the_streams_size():
    for placement, final, blind in (("pre", None, True), ("post", None, False), ("pre", NoNorm(), False)):
        decoder = model(Block(attention=Attention(num_heads=3), placement=placement), final_norm=final)
        stream = torch.randn(2, D).double()
        one, other = (decoder.head(decoder.norm(s)) for s in (stream, 10 * stream))
        assert torch.allclose(one, other, rtol=1e-4) == blind


@pytest.mark.parametrize(
    ("ids", "padding", "words"),
    [
        (torch.zeros(5, dtype=torch.long), None, r"B × T, got torch.int64 \(5,\)"),
        (torch.zeros(2, 5), None, "whole numbers"),
        (
            torch.zeros(2, 5, dtype=torch.long),
            torch.zeros(2, 4, dtype=torch.bool),
            r"shape \(2, 5\), got torch.bool \(2, 4\)",
        ),
        (torch.zeros(2, 5, dtype=torch.long), torch.zeros(2, 5), "padding must be boolean"),
    ],
)
def test_wrong_inputs_are_named(ids, padding, words):
    with pytest.raises(ValueError, match=words):
        model()(ids, padding)


def test_learned_positions_end_and_others_go_on():
    with pytest.raises(OneblockError, match="end at context=7"):
        model(position=Learned())(tokens(1, T + 1))
    for position in (Alibi(), Sinusoidal(), T5Bias()):
        assert model(position=position)(tokens(1, 3 * T)).shape == (1, 3 * T, V)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["nano", "llama-nano", "vaswani-decoder"])
@torch.no_grad()
def test_half_precision_models_run_and_decode(name, dtype):
    config = presets.preset(name)
    half = build(config, seed=0).eval().to(dtype)
    exact = build(config, seed=0).eval().double()
    exact.load_state_dict(half.state_dict())
    ids = torch.randint(0, 65, (2, 9), generator=torch.Generator().manual_seed(0))
    whole = exact(ids)
    scale = whole.abs().max()
    cache = half.cache(2)
    parts = torch.cat([half(ids[:, :4], None, cache), half(ids[:, 4:5], None, cache), half(ids[:, 5:], None, cache)], 1)
    for logits in (half(ids), parts):
        assert logits.dtype == dtype
        assert ((logits.double() - whole) / scale).abs().max() < 0.06


def test_rezero_written_with_a_whole_number():
    config = Block(attention=Attention(num_heads=3), residual=Scaled(branch=0, learned="scalar"), placement="none")
    assert model(config).blocks[0].attention_residual.scale.weight.item() == 0


def test_autocast_trains():
    decoder = build(presets.nano(), seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        loss = decoder(torch.randint(0, 65, (2, 9))).float().logsumexp(-1).mean()
    loss.backward()
    assert all(p.grad.isfinite().all() and p.grad.dtype == torch.float32 for p in decoder.parameters())


def test_the_widths_say_what_they_are_by_name():
    names = set(model().state_dict())
    assert {
        "embedding.weight",
        "blocks.0.attention.qkv.weight",
        "blocks.1.feed_forward.down.weight",
        "norm.weight",
    } <= names
