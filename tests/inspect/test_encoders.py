"""What is said of encoders and encoder-decoders, against the built models and counts by hand."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from oneblock import build, override, presets
from oneblock.config import (
    Attention,
    Block,
    Dense,
    Encoder,
    EncoderDecoder,
    LayerNorm,
    Learned,
    NoHead,
    NoPosition,
    RMSNorm,
    Stack,
    T5Bias,
    TransformedHead,
)
from oneblock.inspect.capture import capture
from oneblock.inspect.columns import columns
from oneblock.inspect.dataflow import dataflow
from oneblock.inspect.draw import draw
from oneblock.inspect.facts import facts, formula_lines
from oneblock.inspect.formula import formula_text
from oneblock.inspect.statistics import (
    PARTS,
    cache_bytes_per_token,
    flops_per_token,
    forward_flops_per_token,
    memory_bytes_per_token,
    parameters,
    parts,
)
from oneblock.inspect.svg import svg

V, U, D, S, T = 11, 13, 24, 7, 5
WITH_MEMORY = ("attention", "cross_attention", "feed_forward")
OWN = Attention(num_heads=3, bias=True, output_bias=True, qk_norm=RMSNorm())
ACROSS = Attention(num_heads=4, num_kv_heads=2, head_width=5, bias=True, qk_norm=LayerNorm(), qk_norm_over="all_heads")


def pair(*, placement="pre", steps=WITH_MEMORY, source_vocab=V, **changes):
    feed_forward = Dense(hidden=31, bias=True)
    reads = Block(attention=OWN, feed_forward=feed_forward, placement=placement)
    writes = Block(steps=steps, attention=OWN, cross_attention=ACROSS, feed_forward=feed_forward, placement=placement)
    return EncoderDecoder(
        source_vocab=source_vocab,
        target_vocab=U,
        width=D,
        encoder=Stack(context=S, num_layers=2, blocks=(reads,), position=T5Bias(), embedding_norm=LayerNorm()),
        decoder=Stack(context=T, num_layers=3, blocks=(writes,), position=Learned()),
        **changes,
    )


def encoder(**changes):
    blocks = (Block(attention=OWN, feed_forward=Dense(hidden=31)),)
    return Encoder(**{"vocab_size": V, "context": S, "width": D, "num_layers": 2, "blocks": blocks} | changes)


MODELS = [
    pair(),
    pair(tied=False, head_bias=True, placement="post"),
    pair(source_vocab=U, shared_embedding=True, placement="peri", head_scale=True),
    pair(source_vocab=U, shared_embedding=True, tied=False, steps=("attention+cross_attention", "feed_forward")),
    encoder(),
    encoder(head=NoHead(), position=Learned()),
    encoder(head=NoHead(), position=Learned(), num_segments=3, embedding_norm=LayerNorm()),
    encoder(head=TransformedHead()),
    encoder(head=TransformedHead(tied=False, dense_bias=False, bias=False), position=T5Bias()),
    presets.encoder_nano().model,
    presets.seq2seq_nano().model,
]


@pytest.mark.parametrize("option", MODELS)
def test_the_configuration_counts_what_the_model_has(option):
    with torch.device("meta"):
        model = build(option)
    assert parameters(option) == parts(model)
    assert sum(parameters(option).values()) == sum(p.numel() for p in model.parameters())
    assert set(parameters(option)) == set(PARTS)


@pytest.mark.parametrize("option", MODELS)
def test_forward_flops_are_those_of_the_products(option):
    """As torch counts them over a pair, or a text, that fills its context."""
    model = build(option, seed=0, fused=False).eval()
    inputs = [torch.zeros(1, column.context, dtype=torch.long) for column in columns(option)]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(*inputs)
    tokens = sum(column.context for column in columns(option))
    assert forward_flops_per_token(option) == round(counter.get_total_flops() / tokens)


def test_flops_of_a_pair_by_hand():
    d, f, queries, keys = D, 31, 4 * 5, 2 * 5
    own = 4 * d * d
    feed_forward = 2 * d * f
    across, of_memory = 2 * d * queries, 2 * d * keys
    reads, writes = 2 * (own + feed_forward), 3 * (own + across + feed_forward) + U * d
    scores = 4 * d * (2 * S * S + 3 * T * T) + 4 * queries * 3 * S * T
    products = reads * S + writes * T + 3 * of_memory * S
    assert forward_flops_per_token(pair()) == round((2 * products + scores) / (S + T))
    plain = pair(tied=False)
    with torch.device("meta"):
        model = build(plain)
    tables = ("embedding", "position.weight")
    learned = {
        name: sum(
            p.numel() for n, p in model.named_parameters() if n.startswith(name) and not any(t in n for t in tables)
        )
        for name in ("encoder", "decoder", "head")
    }
    norm = 2 * D  # of the embedding, left out above by its name
    target = learned["decoder"] + learned["head"] - 3 * of_memory
    passed = (learned["encoder"] + norm) * S + target * T + 3 * of_memory * S
    assert flops_per_token(plain) == round((6 * passed + 3 * scores) / (S + T))
    one = forward_flops_per_token(pair(), 1)
    assert one < forward_flops_per_token(pair(), 50)


@torch.no_grad()
def test_cache_bytes_are_the_tensors():
    option = pair()
    model = build(option, seed=0).eval()
    cache = model.cache(1, capacity=T)
    own = cache.num_bytes
    assert own == T * cache_bytes_per_token(option, 4)
    model.decode(torch.zeros(1, 2, dtype=torch.long), model.encode(torch.zeros(1, S, dtype=torch.long)), None, cache)
    assert cache.num_bytes - own == S * memory_bytes_per_token(option, 4) == S * 2 * 3 * 2 * 5 * 4
    assert cache_bytes_per_token(encoder()) == memory_bytes_per_token(encoder()) == 0


def test_segments_are_drawn_and_written():
    option = encoder(position=Learned(), num_segments=3, embedding_norm=LayerNorm())
    written = formula_text(option).splitlines()
    assert written[0] == "x = LayerNorm(Embedding(tokens) + Segment(segments) + Learned(positions))"
    box = next(box for box in dataflow(option).boxes() if box.name == "+ segment embedding")
    assert (box.kind, box.details) == ("embedding", ("3 × 24",))
    assert "+ segment embedding" in draw(option) and "+ segment embedding" in svg(option)


def test_the_originals_formula():
    assert formula_lines(presets.vaswani().model) == [
        "encoder:",
        "  x = LayerNorm(x + Attention(x))",
        "  x = LayerNorm(x + FFN(x))",
        "decoder:",
        "  x = LayerNorm(x + Attention(x))",
        "  x = LayerNorm(x + CrossAttention(x, memory))",
        "  x = LayerNorm(x + FFN(x))",
    ]
    assert formula_text(presets.vaswani().model) == (
        "x = √512·Embedding(source tokens) + Sinusoidal(positions)\n"
        "for layers 1–6 of 6:\n"
        "    x = LayerNorm(x + Attention(x))\n"
        "    x = LayerNorm(x + FFN(x))\n"
        "memory = x\n"
        "x = √512·Embedding(target tokens) + Sinusoidal(positions)\n"
        "for layers 1–6 of 6:\n"
        "    x = LayerNorm(x + Attention(x))\n"
        "    x = LayerNorm(x + CrossAttention(x, memory))\n"
        "    x = LayerNorm(x + FFN(x))\n"
        "logits = x · Embeddingᵀ"
    )
    text = formula_text(encoder(head=TransformedHead(), position=NoPosition()))
    assert text.endswith("logits = LayerNorm(GELU(Dense(LayerNorm(x)))) · Embeddingᵀ + b")
    assert formula_text(encoder(head=NoHead())).endswith("vectors = LayerNorm(x)")
    assert "logits = LayerNorm(x)/√24 · Embeddingᵀ" in formula_text(pair(head_scale=True))
    assert formula_lines(pair(placement="peri"))[5] == "  x = x + LayerNorm(CrossAttention(LayerNorm(x), memory))"


def test_the_drawing_shows_both_columns_and_what_goes_across():
    text = draw(presets.seq2seq_nano()).plain
    lines = text.splitlines()
    assert lines[0].strip() == "source tokens" and lines[-1].strip() == "logits"
    assert (
        text.index("source tokens") < text.index("block × 3") < text.index("target tokens") < text.index("◄─┼─ memory")
    )
    assert text.count("cross-attention") == 1 and "B × S × 256" in text and "B × T × 72" in text
    beside = draw(override(presets.seq2seq_nano(), "decoder.block.steps=cross_attention+attention,feed_forward")).plain
    assert "─ memory" not in beside and "keys, values: memory" in beside
    names = [box.name for box in dataflow(presets.vaswani()).boxes()]
    assert names.index("memory") < names.index("target tokens") < names.index("cross-attention")
    drawn = svg(presets.vaswani())
    assert drawn.count(">block × 6<") == 2 and ">memory<" in drawn and "CrossAttention(x, memory)" in drawn
    alone = draw(encoder(head=NoHead())).plain
    assert alone.splitlines()[-1].strip() == "vectors" and "head" not in alone.replace("heads", "")


def test_facts_of_both():
    known = facts(presets.vaswani())
    assert known.layers == "6 + 6 layers, width 512, context 256 and 256" and known.total == 63_082_496
    headings = [heading for heading, _ in known.tables]
    assert headings[2:] == ["Key/value cache per token", "Memory's keys and values per source token"]
    assert facts(pair(), 4).layers == "2 + 3 layers, width 24, context 4 and 4"
    of_encoder = facts(encoder())
    assert of_encoder.title == "encoder" and len(of_encoder.tables) == 2


@torch.no_grad()
def test_what_flows_through_both_is_captured():
    model = build(pair(), seed=0).double()
    source, target = torch.randint(V, (2, S)), torch.randint(U, (2, T))
    padding = torch.zeros(2, S, dtype=torch.bool)
    padding[0, :3] = True
    found = capture(model, source, padding, target=target)
    weights = found["decoder.blocks.1.cross_attention.weights"]
    assert weights.shape == (2, 4, T, S) and weights[0, ..., :3].eq(0).all()
    assert found["decoder.blocks.1.cross_attention.keys"].shape == (2, 2, S, 5)
    assert found["encoder.blocks.0.attention.weights"].shape == (2, 3, S, S)
    torch.testing.assert_close(found["logits"], model(source, target, padding))
    torch.testing.assert_close(found["embedding"], model.encoder.embedding.norm(model.encoder.embedding(source)))
    alone = capture(build(encoder(), seed=0), source)
    assert alone["logits"].shape == (2, S, V)
