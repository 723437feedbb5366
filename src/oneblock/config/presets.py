"""Presets: functions that return configurations, each with a recipe and data of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.config import Config
from oneblock.config.decoder import Decoder
from oneblock.config.errors import ConfigError
from oneblock.config.feedforward import Dense, Gated, GShard, Switch
from oneblock.config.init import Normal, Xavier
from oneblock.config.norm import LayerNorm, RMSNorm
from oneblock.config.position import Learned, Rope, Sinusoidal
from oneblock.config.presets_encoders import encoder_nano, seq2seq_nano, vaswani
from oneblock.config.presets_images import dit_nano
from oneblock.config.recipe import AdamW, Cosine, Muon, Recipe

SHAKESPEARE_CHARACTERS = 65
GPT2_VOCABULARY = 50_257


def nano() -> Config:
    """The seed project: 4 layers, width 256, context 256, on TinyShakespeare's characters."""
    block = Block(
        attention=Attention(num_heads=4),
        feed_forward=Dense(activation="relu2"),
        norm=RMSNorm(),
        dropout=0.05,
    )
    model = Decoder(
        vocab_size=SHAKESPEARE_CHARACTERS,
        context=256,
        width=256,
        num_layers=4,
        blocks=(block,),
        position=Rope(),
        embedding_dropout=0.05,
    )
    recipe = Recipe(
        minutes=5.0,
        batch_size=16,
        optimizer=Muon(learning_rate=0.02, rest=AdamW(learning_rate=3e-3)),
        schedule=Cosine(warmup=100, final=0.05),
        average=0.998,
        refit=1.0,
    )
    return Config(name="nano", model=model, recipe=recipe)


def decoder_8x512() -> Config:
    """The course's project: a pre-norm decoder of 8 layers, width 512."""
    block = Block(attention=Attention(num_heads=8), feed_forward=Dense(activation="gelu"), norm=LayerNorm())
    model = Decoder(
        vocab_size=SHAKESPEARE_CHARACTERS, context=256, width=512, num_layers=8, blocks=(block,), position=Rope()
    )
    recipe = Recipe(
        minutes=30.0,
        batch_size=16,
        optimizer=AdamW(learning_rate=6e-4, weight_decay=0.5),
        schedule=Cosine(warmup=100, final=0.1),
        average=0.998,
    )
    return Config(name="decoder-8x512", model=model, recipe=recipe)


def _gpt2(name: str, width: int, num_layers: int, num_heads: int, learning_rate: float) -> Config:
    """GPT-2 (Radford 2019): pre-norm LayerNorm 1e-5, learned positions, GELU (tanh form), biases, tied head."""
    block = Block(
        attention=Attention(num_heads=num_heads, bias=True, output_bias=True),
        feed_forward=Dense(activation="gelu_tanh", bias=True),
        norm=LayerNorm(),
    )
    model = Decoder(
        vocab_size=GPT2_VOCABULARY,
        context=1024,
        width=width,
        num_layers=num_layers,
        blocks=(block,),
        position=Learned(),
        init=Normal(std=0.02),
    )
    recipe = Recipe(
        tokenizer="bpe:50257",
        minutes=30.0,
        batch_size=32,
        accumulation=8,
        optimizer=AdamW(learning_rate=learning_rate, beta2=0.95),
        schedule=Cosine(warmup=200, final=0.1),
    )
    return Config(name=name, model=model, recipe=recipe)


def gpt2() -> Config:
    """GPT-2 small: 12 layers, width 768, 124,439,808 parameters."""
    return _gpt2("gpt2", 768, 12, 12, 6e-4)


def gpt2_medium() -> Config:
    """GPT-2 medium: 24 layers, width 1024."""
    return _gpt2("gpt2-medium", 1024, 24, 16, 3e-4)


def gpt2_large() -> Config:
    """GPT-2 large: 36 layers, width 1280."""
    return _gpt2("gpt2-large", 1280, 36, 20, 2.5e-4)


def gpt2_xl() -> Config:
    """GPT-2 XL: 48 layers, width 1600."""
    return _gpt2("gpt2-xl", 1600, 48, 25, 2e-4)


def _llama(
    name: str, *, vocab: int, context: int, width: int, layers: int, attention: Attention, hidden: int
) -> Config:
    """Llama's shape: pre-norm RMSNorm, RoPE, SwiGLU, no biases."""
    block = Block(attention=attention, feed_forward=Gated(hidden=hidden), norm=RMSNorm())
    model = Decoder(
        vocab_size=vocab,
        context=context,
        width=width,
        num_layers=layers,
        blocks=(block,),
        position=Rope(),
    )
    recipe = Recipe(
        minutes=5.0 if width < 512 else 30.0,
        tokenizer="chars" if vocab == SHAKESPEARE_CHARACTERS else f"bpe:{vocab}",
        batch_size=16,
        optimizer=AdamW(learning_rate=1.5e-3 if width < 512 else 6e-4, weight_decay=0.5),
        schedule=Cosine(warmup=100, final=0.1),
        average=0.998,
    )
    return Config(name=name, model=model, recipe=recipe)


def llama_nano() -> Config:
    """Llama's parts at nano's size: grouped queries, SwiGLU with the 2/3 rule."""
    return _llama(
        "llama-nano",
        vocab=SHAKESPEARE_CHARACTERS,
        context=256,
        width=256,
        layers=4,
        attention=Attention(num_heads=4, num_kv_heads=2),
        hidden=704,
    )


def llama_small() -> Config:
    """A Llama-style model of 134.5 M parameters: 30 layers, width 576, 9 heads in 3 groups (SmolLM2-135M's shape)."""
    return _llama(
        "llama-small",
        vocab=49_152,
        context=2048,
        width=576,
        layers=30,
        attention=Attention(num_heads=9, num_kv_heads=3),
        hidden=1536,
    )


def minimind() -> Config:
    """MiniMind 3's shape: 8 layers, width 768, 8 heads in 4 groups, RMSNorm on queries and keys, 63.9 M parameters."""
    block = Block(
        attention=Attention(num_heads=8, num_kv_heads=4, qk_norm=RMSNorm(eps=1e-6)),
        feed_forward=Gated(hidden=2432),
        norm=RMSNorm(eps=1e-6),
    )
    model = Decoder(
        vocab_size=6400,
        context=340,
        width=768,
        num_layers=8,
        blocks=(block,),
        position=Rope(theta=1e6),
        init=Normal(std=0.02, scale_residual=False),
    )
    recipe = Recipe(
        tokenizer="bpe:6400",
        minutes=30.0,
        batch_size=32,
        accumulation=4,
        optimizer=AdamW(learning_rate=5e-4, beta2=0.999, weight_decay=0.01),
        schedule=Cosine(warmup=0, final=0.1),
    )
    return Config(name="minimind", model=model, recipe=recipe)


def vaswani_decoder() -> Config:
    """The decoder of the original Transformer (Vaswani 2017), base size, without its cross-attention.

    Post-norm, ReLU, sinusoidal positions, embedding ×√512, dropout 0.1, tied head.
    """
    block = Block(
        attention=Attention(num_heads=8, bias=True, output_bias=True),
        feed_forward=Dense(activation="relu", bias=True),
        norm=LayerNorm(eps=1e-6),
        placement="post",
        dropout=0.1,
    )
    model = Decoder(
        vocab_size=SHAKESPEARE_CHARACTERS,
        context=256,
        width=512,
        num_layers=6,
        blocks=(block,),
        position=Sinusoidal(),
        embedding_scale=True,
        embedding_dropout=0.1,
        init=Xavier(),
    )
    recipe = Recipe(
        minutes=30.0,
        batch_size=16,
        optimizer=AdamW(learning_rate=5e-4, beta2=0.98, eps=1e-9, weight_decay=0.0),
        schedule=Cosine(warmup=400, final=0.1),
    )
    return Config(name="vaswani-decoder", model=model, recipe=recipe)


def _with_experts(name: str, experts: Switch | GShard) -> Config:
    """nano, experts in the place of every other feed-forward."""
    dense = nano()
    assert isinstance(dense.model, Decoder)
    (block,) = dense.model.blocks
    model = replace(dense.model, blocks=(block, replace(block, feed_forward=experts)))
    return replace(dense, name=name, model=model)


def switch_nano() -> Config:
    """nano with 8 experts in every other block, one of them for each token: nano's FLOPs (Switch Transformer)."""
    return _with_experts("switch-nano", Switch(num_experts=8, expert=Dense(activation="relu2"), group_size=256))


def gshard_nano() -> Config:
    """nano with 8 experts of half the width in every other block, two of them for each token: nano's FLOPs (GShard)."""
    half = Dense(activation="relu2", ratio=2.0)
    return _with_experts("gshard-nano", GShard(num_experts=8, expert=half, group_size=256))


_ALL: tuple[Callable[[], Config], ...] = (
    nano,
    decoder_8x512,
    gpt2,
    gpt2_medium,
    gpt2_large,
    gpt2_xl,
    llama_nano,
    llama_small,
    minimind,
    vaswani_decoder,
    encoder_nano,
    seq2seq_nano,
    vaswani,
    switch_nano,
    gshard_nano,
    dit_nano,
)

PRESETS: dict[str, Callable[[], Config]] = {make.__name__.replace("_", "-"): make for make in _ALL}
"""Name on the command line -> function; in Python the same name with underscores."""


def preset(name: str) -> Config:
    """The preset of that name; `ConfigError` lists all of them."""
    make = PRESETS.get(name.replace("_", "-"))
    if make is None:
        raise ConfigError("preset", name, "is not a preset", PRESETS)
    return make()
