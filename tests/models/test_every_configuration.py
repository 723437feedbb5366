"""Every option beside every other (a pairwise covering array), each row built, trained, cached, saved."""

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
    Decoder,
    Dense,
    FanIn,
    Gated,
    GShard,
    LayerNorm,
    Learned,
    LinearScaling,
    Llama3Scaling,
    NoNorm,
    NoPosition,
    NoResidual,
    Normal,
    NTKScaling,
    Only,
    PartialRMSNorm,
    RMSNorm,
    Rope,
    Scaled,
    Sinusoidal,
    Switch,
    T5Bias,
    TopK,
    Xavier,
    YarnScaling,
    from_dict,
    to_dict,
)

V, D, T, B = 11, 24, 7, 3
PADS = (0, 1, 3)
A, FF = "attention", "feed_forward"

T5 = T5Bias(num_buckets=5, max_distance=6)
FACTORS = {
    "norm": [
        LayerNorm(),
        LayerNorm(gain=False, bias=False, eps=1e-3),
        RMSNorm(),
        RMSNorm(one_plus=True),
        PartialRMSNorm(fraction=0.3),
        NoNorm(),
    ],
    "placement": ["pre", "post", "peri", "out", "none"],
    "residual": [
        Added(),
        NoResidual(),
        Scaled(skip=1.5, branch=0.5),
        Scaled(branch=0.0, learned="scalar"),
        Scaled(skip=0.7, branch=0.1, learned="vector"),
    ],
    # The steps, and whether a parallel one has one norm for both.
    "steps": [
        ((A, FF), False),
        ((FF, A), False),
        ((f"{A}+{FF}",), False),
        ((f"{A}+{FF}",), True),
        ((A, FF, A, FF), False),
        ((FF, f"{A}+{FF}"), False),
        ((A,), False),
    ],
    "feed_forward": [
        Dense(activation="gelu", bias=True),
        Dense(activation="relu", ratio=1.3),
        Dense(activation="gelu_tanh", dropout=0.1),
        Dense(activation="relu2", hidden=31, bias=True),
        Gated(activation="silu"),
        Gated(activation="gelu", multiple_of=5),
        Gated(activation="identity", hidden=19, bias=True, dropout=0.1),
        Gated(activation="sigmoid"),
        Gated(activation="relu", ratio=1.0),
        Switch(num_experts=3, expert=Dense(activation="relu", hidden=9)),
        GShard(num_experts=4, expert=Gated(hidden=5, bias=True), group_size=3),
        Switch(num_experts=4, expert=Dense(hidden=5), capacity=T + 2, capacity_factor=None, group_size=T + 2),
        TopK(num_experts=5, k=3, expert=Dense(hidden=7), shared_experts=1, bias_rate=0.01),
    ],
    "position": [
        NoPosition(),
        Learned(),
        Sinusoidal(),
        Sinusoidal(layout="concatenated", base=100.0),
        Alibi(),
        T5,
        Rope(),
        Rope(style="interleaved", theta=100.0),
        Rope(fraction=0.5),
        Rope(style="interleaved", scaling=LinearScaling(factor=3.0)),
        Rope(scaling=NTKScaling(factor=4.0), theta=50.0),
        Rope(scaling=YarnScaling(factor=4.0, original_context=32, beta_fast=4.0)),
        Rope(style="interleaved", scaling=Llama3Scaling(original_context=40), fraction=0.5),
    ],
    "heads": [(3, None, None), (3, 1, None), (6, 3, 4), (4, 2, 8)],
    "qk_norm": [
        (NoNorm(), "head"),
        (RMSNorm(), "head"),
        (RMSNorm(one_plus=True), "all_heads"),
        (LayerNorm(), "head"),
        (LayerNorm(bias=False), "all_heads"),
    ],
    "soft_cap": [None, 3.0],
    "window": [None, 1, 3],
    "biases": [(False, False), (True, True), (False, True)],
    "scale": [None, 0.3],
    "dropout": [0.0, 0.1],
    "head": [(True, False), (True, True), (False, False), (False, True)],
    "final_norm": [None, RMSNorm(), NoNorm()],
    "embedding": [(False, NoNorm()), (True, NoNorm()), (False, LayerNorm()), (True, RMSNorm(gain=False))],
    "logit_cap": [None, 5.0],
    "init": [
        Normal(std=0.1),
        Normal(std=0.1, embedding_std=0.2, scale_residual=False),
        FanIn(embedding_std=0.3),
        FanIn(embedding_std=0.3, output="zero"),
        FanIn(embedding_std=0.3, output="full"),
        Xavier(),
    ],
    "pattern": ["one", "other groups and window", "no position", "attention alone"],
    "own_position": [None, Rope(style="interleaved"), Alibi(), T5, NoPosition()],
    "only": [None, "attention post", "feed-forward scaled"],
}
Row = dict[str, object]


def decoder(row: Row) -> Decoder:
    num_heads, num_kv_heads, head_width = row["heads"]
    qk_norm, over = row["qk_norm"]
    bias, output_bias = row["biases"]
    attention_only = Only(placement="post") if row["only"] == "attention post" else Only()
    feed_forward_only = Only()
    if row["only"] == "feed-forward scaled":
        feed_forward_only = Only(residual=Scaled(branch=0.3), norm=RMSNorm(), dropout=0.05)
    block = Block(
        steps=row["steps"][0],
        attention=Attention(
            num_heads=num_heads,
            num_kv_heads=num_kv_heads,
            head_width=head_width,
            bias=bias,
            output_bias=output_bias,
            qk_norm=qk_norm,
            qk_norm_over=over,
            soft_cap=row["soft_cap"],
            window=row["window"],
            scale=row["scale"],
            dropout=row["dropout"],
            position=row["own_position"],
        ),
        feed_forward=row["feed_forward"],
        norm=row["norm"],
        placement=row["placement"],
        residual=row["residual"],
        dropout=row["dropout"],
        shared_norm=row["steps"][1],
        attention_only=attention_only,
        feed_forward_only=feed_forward_only,
    )
    second = {
        "one": [],
        "other groups and window": [
            Block(
                attention=Attention(num_heads=num_heads, num_kv_heads=1, head_width=12, window=2),
                norm=RMSNorm(),
            )
        ],
        "no position": [Block(attention=Attention(num_heads=num_heads, head_width=8, position=NoPosition()))],
        "attention alone": [
            Block(steps=(A,), attention=Attention(num_heads=num_heads, head_width=4), placement="post")
        ],
    }[row["pattern"]]
    tied, head_bias = row["head"]
    scaled, embedding_norm = row["embedding"]
    return Decoder(
        vocab_size=V,
        context=T + 2,
        width=D,
        num_layers=2,
        blocks=(block, *second),
        position=row["position"],
        embedding_norm=embedding_norm,
        embedding_scale=scaled,
        embedding_dropout=row["dropout"],
        final_norm=row["final_norm"],
        tied=tied,
        head_bias=head_bias,
        logit_soft_cap=row["logit_cap"],
        init=row["init"],
    )


def is_valid(row: Row) -> bool:
    try:
        decoder(row)
    except ConfigError:
        return False
    return True


def named(numbers: dict[str, int]) -> Row:
    """A row from option numbers; a factor that is not there has its first option."""
    return {name: options[numbers.get(name, 0)] for name, options in FACTORS.items()}


def covering_array(seed: int = 5) -> tuple[list[dict[str, int]], set]:
    """Rows of option numbers in which every two options of two factors meet, and the pairs that are refused.

    A pair is refused where a rule forbids it beside the first option of every other factor.
    """
    draw = random.Random(seed)
    place = {name: index for index, name in enumerate(FACTORS)}
    spots = [(name, number) for name, options in FACTORS.items() for number in range(len(options))]
    missing = {pair for pair in itertools.combinations(spots, 2) if pair[0][0] != pair[1][0]}
    refused = {pair for pair in missing if not is_valid(named(dict(pair)))}
    missing -= refused

    def in_order(one, other):
        return (one, other) if place[one[0]] < place[other[0]] else (other, one)

    rows = []
    while missing:
        row = dict(draw.choice(sorted(missing)))
        rest = [name for name in FACTORS if name not in row]
        draw.shuffle(rest)
        for name in rest:
            options = [(name, number) for number in range(len(FACTORS[name]))]
            draw.shuffle(options)
            options.sort(key=lambda spot: -sum(in_order(spot, taken) in missing for taken in row.items()))
            row[name] = next(n for _, n in options if is_valid(named(row | {name: n})))
        rows.append(row)
        missing -= set(itertools.combinations([(name, row[name]) for name in FACTORS], 2))
    return rows, refused


COVER, REFUSED = covering_array()
ROWS = pytest.mark.parametrize("number", range(len(COVER)))
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


@functools.cache
def config_of(number: int) -> Decoder:
    return decoder(named(COVER[number]))


def stirred(number: int, *, fused: bool = True) -> torch.nn.Module:
    """The model in float64 and eval mode, everything that starts at 0 or 1 moved away from it."""
    model = build(config_of(number), seed=number, fused=fused).double().eval()
    generator = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


@functools.cache
def model_of(number: int) -> torch.nn.Module:
    return stirred(number)


def some_tokens(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, V, shape, generator=torch.Generator().manual_seed(seed))


def left_padded() -> tuple[torch.Tensor, torch.Tensor]:
    padding = torch.arange(T) < torch.tensor(PADS)[:, None]
    return some_tokens(B, T, seed=1), padding


def moved(model: torch.nn.Module, one: torch.Tensor, other: torch.Tensor) -> bool:
    return not torch.equal(model(one), model(other))


def test_the_array_covers_all_pairs_but_those_that_a_rule_refuses():
    seen = {pair for row in COVER for pair in itertools.combinations([(n, row[n]) for n in FACTORS], 2)}
    every = sum(len(FACTORS[a]) * len(FACTORS[b]) for a, b in itertools.combinations(FACTORS, 2))
    assert len(seen | REFUSED) == every
    parallel, shared = {2, 3, 5}, 3
    placement, only = {("placement", n) for n in (1, 3, 4)}, {("only", n) for n in (1, 2)}
    assert {
        *((spot, ("steps", shared)) for spot in placement),
        *((("steps", step), spot) for step in parallel for spot in only),
    } == REFUSED


@ROWS
@torch.no_grad()
def test_forward_is_finite_causal_and_rows_do_not_meet(number):
    model, tokens = model_of(number), some_tokens(B, T)
    logits = model(tokens)
    assert logits.shape == (B, T, V) and logits.dtype == torch.float64 and logits.isfinite().all()
    for start in (1, 4, T - 1):
        future = tokens.clone()
        future[:, start:] = (future[:, start:] + 1 + some_tokens(T - start, seed=start) % (V - 1)) % V
        torch.testing.assert_close(model(future)[:, :start], logits[:, :start], rtol=0, atol=1e-12)
        assert moved(model, tokens, future)
    for row in range(B):
        torch.testing.assert_close(model(tokens[row : row + 1])[0], logits[row], **CLOSE)


@ROWS
@torch.no_grad()
def test_padding_changes_nothing(number):
    model = model_of(number)
    for flip in (False, True):
        tokens, padding = left_padded()
        padding = padding.flip(1) if flip else padding
        logits = model(tokens, padding)
        assert logits.isfinite().all()
        garbage = torch.where(padding, (tokens + 5) % V, tokens)
        for other in (logits, model(garbage, padding)):
            for row in range(B):
                alone = model(tokens[row : row + 1, ~padding[row]])[0]
                torch.testing.assert_close(other[row, ~padding[row]], alone, **CLOSE)


@ROWS
@torch.no_grad()
@pytest.mark.parametrize("padded", [False, True])
def test_cached_equals_uncached(number, padded):
    model = model_of(number)
    tokens, padding = left_padded()
    padding = padding if padded else None
    whole = model(tokens, padding)
    for chunks in ([1] * T, [1, 2, 3, 1], [5, 1, 1], [T]):
        cache, logits = model.cache(B, capacity=T), []
        for start, length in zip(itertools.accumulate([0, *chunks]), chunks, strict=False):
            pads = None if padding is None or start >= max(PADS) else padding[:, start : start + length]
            logits.append(model(tokens[:, start : start + length], pads, cache))
        real = torch.ones(B, T, dtype=torch.bool) if padding is None else ~padding
        torch.testing.assert_close(torch.cat(logits, 1)[real], whole[real], **CLOSE)
        assert cache.length == T


@ROWS
@torch.no_grad()
def test_fused_equals_written_out(number):
    fused, written = model_of(number), stirred(number, fused=False)
    tokens, padding = left_padded()
    torch.testing.assert_close(fused(tokens), written(tokens), **CLOSE)
    torch.testing.assert_close(fused(tokens, padding)[~padding], written(tokens, padding)[~padding], **CLOSE)
    caches = fused.cache(B), written.cache(B)
    for start, end in ((0, 2), (2, 3), (3, T)):
        pair = [model(tokens[:, start:end], None, cache) for model, cache in zip((fused, written), caches, strict=True)]
        torch.testing.assert_close(*pair, **CLOSE)


@ROWS
def test_save_copy_and_precision(number):
    config, model, tokens = config_of(number), model_of(number), some_tokens(2, T)
    text = json.dumps(to_dict(config))
    assert from_dict(Decoder, json.loads(text)) == config
    assert json.dumps(to_dict(from_dict(Decoder, json.loads(text)))) == text
    with torch.no_grad():
        logits = model(tokens)
        twin = copy.deepcopy(model)
        other = build(config, seed=number + 1).double().eval()
        assert moved(lambda m: m(tokens), model, other)
        other.load_state_dict(model.state_dict(), strict=True)
        assert torch.equal(twin(tokens), logits) and torch.equal(other(tokens), logits)
        twin.embedding.weight.zero_()
        assert torch.equal(model(tokens), logits) and not torch.equal(twin(tokens), logits)
        single = copy.deepcopy(model).float()(tokens)
        assert single.dtype == torch.float32
        scale = logits.abs().max()
        torch.testing.assert_close(single.double() / scale, logits / scale, rtol=0, atol=2e-3)
    again = build(config, seed=number).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in build(config, seed=number).state_dict().items())


def learns_too_slowly(row: Row) -> bool:
    """Without a stream, a branch that starts at 0 gives nothing to read from."""
    starts_at_zero = row["init"] == FanIn(embedding_std=0.3, output="zero") or row["residual"] == Scaled(
        branch=0.0, learned="scalar"
    )
    return isinstance(row["residual"], NoResidual) and starts_at_zero


@ROWS
def test_trains(number):
    row = named(COVER[number])
    model = build(config_of(number), seed=number)
    tokens = some_tokens(B, T, seed=2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)

    def loss() -> torch.Tensor:
        return F.cross_entropy(model(tokens)[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())

    def measured() -> float:
        model.eval()
        with torch.no_grad():
            value = loss().item()
        model.train()
        return value

    torch.manual_seed(number)
    before = measured()
    for step in range(12):
        optimizer.zero_grad()
        loss().backward()
        if step == 0:
            for name, parameter in model.named_parameters():
                assert parameter.grad is not None, name
                assert parameter.grad.isfinite().all(), name
        optimizer.step()
    after = measured()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert after < 0.97 * before or learns_too_slowly(row), (before, after)
