"""Exercise 14: cross-attention and the encoder-decoder.

A translator reads a whole sentence and then writes another, looking back at the first while writing. Two stacks do
that. The encoder reads the source: every token may see every other. Its output, one vector a token, is the memory. The
decoder writes the target: its tokens see themselves and what was written before, and the whole memory.

Cross-attention is that second look. Only who owns what is new:

    queries           from x,       B×T×D: the tokens that are being written ask
    keys and values   from memory,  B×S×D: the tokens that were read answer

    q = query(x), k and v = the two halves of key_value(memory), both cut into heads
    each head: softmax(q kᵀ / √K) v,  K = D / num_heads; heads side by side again; then output

Head 0 owns the first K numbers of each projection, head 1 the next K, and so on. `CrossAttention` has three linear
layers without bias: `query` D→D, `key_value` D→2·D (keys first, then values), `output` D→D. A width that num_heads
does not divide is a ValueError. There is no residual and no norm inside: what you return is the contribution alone.

`memory_mask` is boolean, True = may attend, and comes in three shapes, for sources of unequal length:

    B×S      one row a sentence: tokens that are padding are False, for every query alike
    B×T×S    a row for each query
    B×1×1×S  the first again, with axes for heads and queries

    sentence 0: "the sky is blue"    mask row 0: True True True True
    sentence 1: "rain <pad> ..."     mask row 1: True False False False

The traps: T and S are different lengths; a causal mask has no place here, the source is all there from the start; and a
mask over target tokens says nothing about source tokens.

`EncoderDecoder` puts it together. Its insides are yours: what you built before will do (a block for the encoder, and a
block with a cross-attention step between attention and feed-forward for the decoder; several may be stacked, each with
weights of its own, `num_layers` on either side). From outside:

    encode(source, source_mask)           B×S whole numbers below source_vocab → memory B×S×D
    decode(target, memory, memory_mask)   B×T whole numbers below target_vocab → logits B×T×target_vocab
    forward(source, target, source_mask)  = decode(target, encode(source, source_mask), source_mask)

Logits at place t may depend on target[0 … t], all of the source, and nothing else. Order matters in both sequences, so
both need positions; both can be as long as `context`. Tokens that source_mask (B×S, True = real) hides have no effect
on any logit, by whatever way. What you make in __init__ is used: every weight gets a gradient from the logits.
"""

from torch import Tensor, nn


class CrossAttention(nn.Module):
    """x B×T×D asks, memory B×S×D answers; gives B×T×D. Layers: query, key_value, output."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        raise NotImplementedError("CrossAttention is yours to write")

    def forward(self, x: Tensor, memory: Tensor, memory_mask: Tensor | None = None) -> Tensor:
        raise NotImplementedError("CrossAttention.forward is yours to write")


class EncoderDecoder(nn.Module):
    """Reads source tokens, scores the next target token at each place of the target."""

    def __init__(
        self, source_vocab: int, target_vocab: int, width: int, num_heads: int, num_layers: int, context: int
    ) -> None:
        super().__init__()
        raise NotImplementedError("EncoderDecoder is yours to write")

    def encode(self, source: Tensor, source_mask: Tensor | None = None) -> Tensor:
        raise NotImplementedError("EncoderDecoder.encode is yours to write")

    def decode(self, target: Tensor, memory: Tensor, memory_mask: Tensor | None = None) -> Tensor:
        raise NotImplementedError("EncoderDecoder.decode is yours to write")

    def forward(self, source: Tensor, target: Tensor, source_mask: Tensor | None = None) -> Tensor:
        raise NotImplementedError("EncoderDecoder.forward is yours to write")
