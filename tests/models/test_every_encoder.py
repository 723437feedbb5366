"""Encoders and encoder-decoders of all options, drawn at random: who sees whom, padding, cache, gradients, saving."""

import copy
import functools
import itertools
import json
import random

import pytest
import torch
import torch.nn.functional as F

from oneblock import build
from oneblock.config import (
    Added,
    Alibi,
    Attention,
    Block,
    ConfigError,
    Dense,
    Encoder,
    EncoderDecoder,
    FanIn,
    FirstPool,
    Gated,
    LayerNorm,
    Learned,
    MeanPool,
    NoHead,
    NoNorm,
    NoPosition,
    Normal,
    Only,
    PartialRMSNorm,
    RMSNorm,
    Rope,
    Scaled,
    Sinusoidal,
    Stack,
    T5Bias,
    TokenHead,
    TransformedHead,
    Xavier,
    from_dict,
    to_dict,
)

V, U, D, S, T, B = 11, 13, 24, 7, 5, 3
A, C, FF = "attention", "cross_attention", "feed_forward"
ROWS = 26
CLOSE = {"rtol": 1e-9, "atol": 1e-11}

T5 = T5Bias(num_buckets=6, max_distance=6)
ATTENTIONS = [
    Attention(num_heads=3),
    Attention(num_heads=6, num_kv_heads=3, head_width=4, bias=True, output_bias=True),
    Attention(num_heads=4, num_kv_heads=1, head_width=8, qk_norm=RMSNorm()),
    Attention(num_heads=3, qk_norm=LayerNorm(), qk_norm_over="all_heads", scale=0.4, dropout=0.1),
    Attention(num_heads=2, head_width=6, soft_cap=3.0),
]
FACTORS = {
    "position": [NoPosition(), Learned(), Sinusoidal(), Alibi(), T5, Rope(), Rope(style="interleaved", fraction=0.5)],
    "own_position": [None, None, Alibi(), T5, NoPosition()],
    "window": [None, None, 1, 3],
    "attention": ATTENTIONS,
    "across": ATTENTIONS,
    "feed_forward": [
        Dense(bias=True),
        Dense(activation="relu2", dropout=0.1),
        Gated(hidden=19),
        Gated(activation="gelu"),
    ],
    "norm": [LayerNorm(), RMSNorm(one_plus=True), PartialRMSNorm(fraction=0.3)],
    "placement": ["pre", "post", "peri", "out", "none"],
    "residual": [Added(), Scaled(skip=1.5, branch=0.5), Scaled(branch=0.1, learned="vector")],
    "dropout": [0.0, 0.1],
    "only": [Only(), Only(placement="post"), Only(norm=RMSNorm(), residual=Scaled(branch=0.3))],
    "embedding": [(False, NoNorm()), (True, NoNorm()), (False, LayerNorm())],
    "final_norm": [None, RMSNorm()],
    "init": [Normal(std=0.1), FanIn(embedding_std=0.3), Xavier()],
    "encoder_steps": [(A, FF), (A, FF), (FF, A), (f"{A}+{FF}",), (A, FF, A)],
    "decoder_steps": [(A, C, FF), (A, C, FF), (f"{A}+{C}", FF), (C, A, C, FF), (f"{A}+{C}+{FF}",), (C, FF)],
    "head": [TokenHead(), TokenHead(tied=False, bias=True), TransformedHead(), TransformedHead(tied=False), NoHead()],
    "pool": [MeanPool(), MeanPool(normalise=False), FirstPool(), FirstPool(normalise=True)],
    "tables": [(False, True), (False, False), (True, True), (True, False)],
    "around_head": [(False, False, None), (True, False, None), (False, True, 5.0)],
    "segments": [None, 3],
}


def stack(row, *, writes, context):
    block = Block(
        steps=row["decoder_steps" if writes else "encoder_steps"],
        attention=Attention(
            **{name: getattr(row["attention"], name) for name in row["attention"].__dataclass_fields__}
            | {"window": row["window"], "position": row["own_position"]}
        ),
        cross_attention=row["across"] if writes else Attention(),
        feed_forward=row["feed_forward"],
        norm=row["norm"],
        placement=row["placement"],
        residual=row["residual"],
        dropout=row["dropout"],
        cross_attention_only=row["only"] if writes else Only(),
        attention_only=Only() if writes else row["only"],
    )
    return {
        "context": context,
        "num_layers": 2,
        "blocks": (block,),
        "position": row["position"],
        "embedding_norm": row["embedding"][1],
        "embedding_dropout": row["dropout"],
        "final_norm": row["final_norm"],
    }


def encoder(row):
    return Encoder(
        vocab_size=V,
        width=D,
        embedding_scale=row["embedding"][0],
        num_segments=row["segments"],
        head=row["head"],
        pool=row["pool"],
        init=row["init"],
        **stack(row, writes=False, context=S + 1),
    )


def encoder_decoder(row):
    shared, tied = row["tables"]
    head_bias, head_scale, cap = row["around_head"]
    return EncoderDecoder(
        source_vocab=U if shared else V,
        target_vocab=U,
        width=D,
        encoder=Stack(**stack(row, writes=False, context=S + 1)),
        decoder=Stack(**stack(row, writes=True, context=T + 1)),
        shared_embedding=shared,
        tied=tied,
        head_bias=head_bias,
        head_scale=head_scale,
        embedding_scale=row["embedding"][0],
        logit_soft_cap=cap,
        init=row["init"],
    )


MAKE = {"encoder": encoder, "encoder_decoder": encoder_decoder}


@functools.cache
def row_of(number):
    """Random options that both kinds of model allow; the first rows have every option of the longest lists."""
    draw = random.Random(number)
    while True:
        row = {
            name: options[number % len(options)] if name in ("position", "head") else draw.choice(options)
            for name, options in FACTORS.items()
        }
        try:
            encoder(row), encoder_decoder(row)
        except ConfigError:
            continue
        return row


@functools.cache
def config_of(kind, number):
    return MAKE[kind](row_of(number))


def stirred(kind, number, *, fused=True):
    """The model in float64 and eval mode, everything that starts at 0 or 1 moved away from it."""
    model = build(config_of(kind, number), seed=number, fused=fused).double().eval()
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


@functools.cache
def model_of(kind, number):
    return stirred(kind, number)


def ids(*shape, vocab=V, seed=0):
    return torch.randint(0, vocab, shape, generator=torch.Generator().manual_seed(seed))


def padded():
    """Sources whose pads stand left, right, and in the middle."""
    padding = torch.zeros(B, S, dtype=torch.bool)
    padding[0, :2] = padding[1, 4:] = padding[2, 1] = True
    return ids(B, S, seed=1), padding


def call(model, tokens, padding=None):
    """The answer of either kind: of an encoder-decoder for one and the same target."""
    if hasattr(model, "encode"):
        return model(tokens, ids(len(tokens), T, vocab=U, seed=3), padding)
    return model(tokens, padding, segments=segments(model, tokens))


def segments(model, tokens):
    """The kind of a token by its number, where the model has kinds."""
    return tokens % model.config.num_segments if model.config.num_segments else None


NUMBERS = pytest.mark.parametrize("number", range(ROWS))
KINDS = pytest.mark.parametrize("kind", MAKE)


def test_every_option_is_drawn():
    for name, options in FACTORS.items():
        drawn = [row_of(number)[name] for number in range(ROWS)]
        assert all(option in drawn for option in options), name


@NUMBERS
def test_every_token_of_an_encoder_depends_on_every_other(number):
    """By gradients; through windows, as far as two layers reach."""
    model, row = model_of("encoder", number), row_of(number)
    tokens = ids(1, S)
    reached = torch.zeros(S, S, dtype=torch.bool)
    embedded = model.embedding(tokens).detach().requires_grad_()
    handle = model.embedding.register_forward_hook(lambda *_: embedded)
    answer = model(tokens)[0]
    handle.remove()
    weights = torch.randn(answer.shape[-1], generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for place in range(S):
        (gradient,) = torch.autograd.grad((answer[place] * weights).sum(), embedded, retain_graph=True)
        reached[place] = gradient[0].abs().sum(-1) > 0
    hops = 2 * sum(A in step for step in row["encoder_steps"])
    reach = S if row["window"] is None else hops * (row["window"] - 1)
    distance = (torch.arange(S)[:, None] - torch.arange(S)).abs()
    assert torch.equal(reached, distance <= reach)


@NUMBERS
@torch.no_grad()
def test_a_decoder_sees_no_later_target_and_all_of_its_source(number):
    model = model_of("encoder_decoder", number)
    source, target = ids(B, S), ids(B, T, vocab=U)
    logits = model(source, target)
    assert logits.shape == (B, T, U) and logits.isfinite().all()
    for start in (1, 3, T - 1):
        future = target.clone()
        future[:, start:] = (future[:, start:] + 1 + ids(T - start, vocab=U - 1, seed=start)) % U
        torch.testing.assert_close(model(source, future)[:, :start], logits[:, :start], rtol=0, atol=1e-12)
        assert not torch.equal(model(source, future), logits)
    for place in range(S):
        other = source.clone()
        other[:, place] = (other[:, place] + 1) % V
        assert (model(other, target) != logits).any(-1).all()


@KINDS
@NUMBERS
@torch.no_grad()
def test_padding_changes_nothing_and_rows_do_not_meet(kind, number):
    model = model_of(kind, number)
    tokens, padding = padded()
    answer = call(model, tokens, padding)
    garbage = torch.where(padding, (tokens + 5) % V, tokens)
    for other in (answer, call(model, garbage, padding)):
        assert other.isfinite().all()
        for row in range(B):
            real = ~padding[row]
            if kind == "encoder":
                alone, here = call(model, tokens[row : row + 1, real])[0], other[row, real]
            else:
                target = ids(B, T, vocab=U, seed=3)[row : row + 1]
                alone, here = model(tokens[row : row + 1, real], target)[0], other[row]
            torch.testing.assert_close(here, alone, **CLOSE)
    if kind == "encoder":
        pooled = model.vectors(garbage, padding)
        assert pooled.shape == (B, D)
        for row in range(B):
            x = model.norm(model.stream(tokens[row : row + 1, ~padding[row]]))[0]
            expected = x.mean(0) if isinstance(model.config.pool, MeanPool) else x[0]
            expected = expected / expected.norm() if model.config.pool.normalise else expected
            torch.testing.assert_close(pooled[row], expected, **CLOSE)


@NUMBERS
@torch.no_grad()
@pytest.mark.parametrize("with_pads", [False, True])
def test_cached_equals_uncached(number, with_pads):
    model = model_of("encoder_decoder", number)
    source, padding = padded()
    padding = padding if with_pads else None
    target = ids(B, T, vocab=U, seed=3)
    whole, memory = model(source, target, padding), model.encode(source, padding)
    for chunks in ([1] * T, [2, 1, 2], [4, 1], [T]):
        cache, logits = model.cache(B, capacity=T), []
        for start, length in zip(itertools.accumulate([0, *chunks]), chunks, strict=False):
            logits.append(model.decode(target[:, start : start + length], memory, padding, cache))
        torch.testing.assert_close(torch.cat(logits, 1), whole, **CLOSE)
    order = torch.tensor([1, 1, 0])
    same = memory[:1].expand(B, -1, -1).contiguous()
    straight, turned = model.cache(B), model.cache(B)
    model.decode(target[:, :2], same, None, turned)
    turned.reorder(order)
    model.decode(target[order, :2], same, None, straight)
    pair = [model.decode(target[:, 2:], same, None, cache) for cache in (straight, turned)]
    torch.testing.assert_close(*pair, **CLOSE)


@KINDS
@NUMBERS
@torch.no_grad()
def test_fused_equals_written_out(kind, number):
    fused, written = model_of(kind, number), stirred(kind, number, fused=False)
    tokens, padding = padded()
    torch.testing.assert_close(call(fused, tokens), call(written, tokens), **CLOSE)
    here = ~padding if kind == "encoder" else torch.ones(B, T, dtype=torch.bool)
    torch.testing.assert_close(call(fused, tokens, padding)[here], call(written, tokens, padding)[here], **CLOSE)


@KINDS
@NUMBERS
def test_save_copy_and_precision(kind, number):
    config, model, tokens = config_of(kind, number), model_of(kind, number), ids(2, S)
    text = json.dumps(to_dict(config))
    assert from_dict(type(config), json.loads(text)) == config
    with torch.no_grad():
        answer = call(model, tokens)
        twin, other = copy.deepcopy(model), build(config, seed=number + 1).double().eval()
        assert not torch.equal(call(other, tokens), answer)
        other.load_state_dict(model.state_dict(), strict=True)
        assert torch.equal(call(twin, tokens), answer) and torch.equal(call(other, tokens), answer)
        next(twin.parameters()).zero_()
        assert torch.equal(call(model, tokens), answer) and not torch.equal(call(twin, tokens), answer)
        single = call(copy.deepcopy(model).float(), tokens)
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double() / answer.abs().max(), answer / answer.abs().max(), rtol=0, atol=2e-3)
    shared = [name for name, _ in model.named_parameters()]
    assert len(shared) == len(set(model.state_dict()))


@KINDS
@NUMBERS
def test_trains(kind, number):
    model, tokens = build(config_of(kind, number), seed=number), ids(B, S, seed=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    torch.manual_seed(number)

    def loss():
        answer = call(model, tokens)
        wanted = ids(*answer.shape[:2], vocab=V, seed=4)
        return F.cross_entropy(answer.flatten(0, 1), wanted.flatten())

    def measured():
        with torch.no_grad():
            model.eval()
            value = loss().item()
            model.train()
        return value

    before = measured()
    for step in range(10):
        optimizer.zero_grad()
        loss().backward()
        if step == 0:
            for name, parameter in model.named_parameters():
                assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        optimizer.step()
    assert measured() < 0.98 * before
