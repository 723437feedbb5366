"""The checks of an encoder-decoder, in a graph."""

from oneblock.learn.exercise import Check
from oneblock.learn.exercises.cross_attention.whole import (
    alone,
    attends,
    both_ways,
    causal,
    direct,
    keyword,
    layers,
    learns,
    memory_padding,
    own_past,
    places,
    reads_source,
    source_padding,
    two_halves,
    whole_shape,
)

FIRST = ("whole_shape",)
WHOLE = (
    Check(
        id="whole_shape",
        run=whole_shape,
        needs=("mask", "gradient"),
        hints=(
            "forward gives logits B×T×target_vocab, encode gives a memory B×S×D, for lengths from 1 to context.",
            "Look at the two vocabularies, at the tables of positions, and at what the head is given.",
            "encode: embed source, add positions, layers; decode: embed target, add positions, layers, head",
        ),
    ),
    Check(
        id="layers",
        run=layers,
        needs=FIRST,
        hints=(
            "num_layers layers on either side, each with weights of its own.",
            "Look at how the layers are made and kept.",
            "nn.ModuleList(Layer(…) for _ in range(num_layers))",
        ),
    ),
    Check(
        id="direct",
        run=direct,
        needs=FIRST,
        hints=(
            "Every target place sees every memory token, from the first place on.",
            "Look at what the cross-attention is given as memory, and at its mask: a causal one has no place there.",
            "x = x + cross_attention(norm(x), memory, memory_mask)",
        ),
    ),
    Check(
        id="attends",
        run=attends,
        needs=("direct",),
        hints=(
            "The decoder weighs the memory's tokens by attention.",
            "Look at what happens to the memory before the cross-attention.",
            "hand the whole memory B×S×D to each cross-attention",
        ),
    ),
    Check(
        id="two_halves",
        run=two_halves,
        needs=FIRST,
        hints=(
            "forward is decode after encode, with the same mask for both.",
            "Look at what forward hands on.",
            "return self.decode(target, self.encode(source, source_mask), source_mask)",
        ),
    ),
    Check(
        id="causal",
        run=causal,
        needs=FIRST,
        hints=(
            "The logits at a place depend on no later target token.",
            "Look at the mask of the decoder's attention within the target.",
            "a lower triangle T×T, True = may attend, for the self-attention of each decoder layer",
        ),
    ),
    Check(
        id="own_past",
        run=own_past,
        needs=("causal",),
        hints=(
            "The logits at a place depend on the target token there and on all before it.",
            "Look for the self-attention in the decoder, and for a target that is shifted inside.",
            "x = x + self_attention(norm(x), causal) before the cross-attention",
        ),
    ),
    Check(
        id="both_ways",
        run=both_ways,
        needs=FIRST,
        hints=(
            "In the encoder every source token sees every other, later ones too.",
            "Look at the encoder's attention and its mask.",
            "x = x + self_attention(norm(x), mask of real tokens), without a triangle",
        ),
    ),
    Check(
        id="reads_source",
        run=reads_source,
        needs=("direct", "both_ways"),
        hints=(
            "Every logit depends on every source token.",
            "Follow one source token: embedding, encoder, memory, cross-attention, head.",
            "decode(target, encode(source))",
        ),
    ),
    Check(
        id="places",
        run=places,
        needs=("reads_source", "own_past"),
        hints=(
            "Attention does not know order: both sides need positions.",
            "Look at what is added to the embeddings of source and of target.",
            "embedding(tokens) + position(arange(length)), on both sides",
        ),
    ),
    Check(
        id="memory_padding",
        run=memory_padding,
        needs=("direct", "both_ways"),
        hints=(
            "encode and decode each keep masked source tokens out.",
            "Look at the mask of the encoder's self-attention and at that of the cross-attention.",
            "both get the mask of real source tokens",
        ),
    ),
    Check(
        id="source_padding",
        run=source_padding,
        needs=("memory_padding", "two_halves"),
        hints=(
            "Source tokens that source_mask hides change no logit.",
            "Look at every place where something is gathered over source tokens.",
            "the mask of real source tokens goes to the encoder and to the cross-attention",
        ),
    ),
    Check(
        id="keyword",
        run=keyword,
        needs=("two_halves",),
        hints=(
            "The arguments are called source, target, source_mask.",
            "Look at the names in forward.",
            "def forward(self, source, target, source_mask=None)",
        ),
    ),
    Check(
        id="alone",
        run=alone,
        needs=("source_padding",),
        hints=(
            "A sentence's logits do not depend on the others of its batch.",
            "Look for a reduction or a mask over the batch axis.",
            "the batch axis is only carried along",
        ),
    ),
    Check(
        id="learns",
        run=learns,
        needs=("reads_source", "own_past"),
        hints=(
            "Every weight matrix gets a gradient from the logits.",
            "Look for a layer that is made and not used, for detach, and for no_grad.",
            "what __init__ makes, forward uses",
        ),
    ),
)
