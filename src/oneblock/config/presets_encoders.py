"""Presets with an encoder: one alone, and two with a decoder that reads what the encoder has made."""

from __future__ import annotations

from dataclasses import replace

from oneblock.config.attention import Attention
from oneblock.config.block import Block
from oneblock.config.config import Config
from oneblock.config.encoder import Encoder
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.feedforward import Dense
from oneblock.config.init import Xavier
from oneblock.config.norm import LayerNorm, RMSNorm
from oneblock.config.objective import Masked, Pairs
from oneblock.config.position import Rope, Sinusoidal
from oneblock.config.recipe import AdamW, Cosine, Muon, Recipe
from oneblock.config.stack import Stack

SHAKESPEARE_AND_MASK = 66
LETTERS, PHONEMES = 32, 72
LONGEST_WORD, LONGEST_SOUND = 28, 30
ENGLISH_AND_GERMAN = 37_000
WITH_MEMORY = ("attention", "cross_attention", "feed_forward")


def encoder_nano() -> Config:
    """An encoder of 4 layers, width 256, on TinyShakespeare's characters, some of them hidden."""
    block = Block(
        attention=Attention(num_heads=4),
        feed_forward=Dense(activation="relu2"),
        norm=RMSNorm(),
    )
    model = Encoder(
        vocab_size=SHAKESPEARE_AND_MASK,
        context=256,
        width=256,
        num_layers=4,
        blocks=(block,),
        position=Rope(),
    )
    recipe = Recipe(
        objective=Masked(),
        minutes=15.0,
        batch_size=16,
        optimizer=Muon(learning_rate=0.02, rest=AdamW(learning_rate=3e-3)),
        schedule=Cosine(warmup=100, final=0.05),
        average=0.998,
    )
    return Config(name="encoder-nano", model=model, recipe=recipe)


def seq2seq_nano() -> Config:
    """An encoder-decoder of 3 + 3 layers, width 256: from an English word's spelling to its sound."""
    reads = Block(
        attention=Attention(num_heads=4),
        feed_forward=Dense(activation="relu2"),
        norm=RMSNorm(),
        dropout=0.1,
    )
    writes = replace(reads, steps=WITH_MEMORY, cross_attention=Attention(num_heads=4))
    model = EncoderDecoder(
        source_vocab=LETTERS,
        target_vocab=PHONEMES,
        width=256,
        encoder=Stack(context=LONGEST_WORD, num_layers=3, blocks=(reads,), embedding_dropout=0.1),
        decoder=Stack(context=LONGEST_SOUND, num_layers=3, blocks=(writes,), embedding_dropout=0.1),
    )
    recipe = Recipe(
        objective=Pairs(label_smoothing=0.1),
        data="cmudict",
        minutes=15.0,
        batch_size=256,
        optimizer=Muon(learning_rate=0.02, rest=AdamW(learning_rate=3e-3)),
        schedule=Cosine(warmup=100, final=0.05),
        average=0.998,
        # Batches differ in width, and each width would wait half a minute for the compiler.
        compile="off",
    )
    return Config(name="seq2seq-nano", model=model, recipe=recipe)


def vaswani() -> Config:
    """The original Transformer (Vaswani 2017), base size: 6 + 6 layers, width 512, one table for all three uses.

    Post-norm, ReLU, sinusoidal positions, embeddings ×√512, dropout 0.1, label smoothing 0.1.
    """
    heads = Attention(num_heads=8, bias=True, output_bias=True)
    reads = Block(
        attention=heads,
        feed_forward=Dense(activation="relu", bias=True),
        norm=LayerNorm(eps=1e-6),
        placement="post",
        dropout=0.1,
    )
    writes = replace(reads, steps=WITH_MEMORY, cross_attention=heads)
    encoder = Stack(context=256, num_layers=6, blocks=(reads,), position=Sinusoidal(), embedding_dropout=0.1)
    model = EncoderDecoder(
        source_vocab=ENGLISH_AND_GERMAN,
        target_vocab=ENGLISH_AND_GERMAN,
        width=512,
        encoder=encoder,
        decoder=replace(encoder, blocks=(writes,)),
        shared_embedding=True,
        embedding_scale=True,
        init=Xavier(),
    )
    recipe = Recipe(
        objective=Pairs(label_smoothing=0.1),
        data="cmudict",
        minutes=30.0,
        batch_size=128,
        optimizer=AdamW(learning_rate=5e-4, beta2=0.98, eps=1e-9, weight_decay=0.0),
        schedule=Cosine(warmup=400, final=0.1),
    )
    return Config(name="vaswani", model=model, recipe=recipe)
