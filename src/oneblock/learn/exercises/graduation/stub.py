"""Graduation: your own block with real weights in it.

SmolLM2 is a Llama of 135 million parameters: 30 blocks of width 576, 9 heads in 3 groups. Its blocks are made of what
you have written: the block of exercise 6 with the swaps of exercise 12. Put them together here.

    x = x + attention(norm1(x))             tokens look at one another
    x = x + feed_forward(norm2(x))          each token by itself

What is not as in exercise 6:

    norm1, norm2        rms_norm with one weight each, no bias; eps comes in
    attention           qkv gives the rows of num_heads heads of q, then of num_kv_heads of k, then of v (no bias).
                        Every head of q and of k is turned by rope, v is not: positions 0 … T−1, base and style as they
                        come in. Then softmax(q kᵀ / √K) v, causal, query head i reading group i // (H/G), and output
    feed_forward        a SwiGLU

    LlamaBlock(24, 6, 2, 40, 10000.0, 1e-5, "half")(torch.randn(2, 5, 24)).shape  ->  (2, 5, 24)

The names, as before (mapping() in this file says it where yours are others):

    norm1.weight, norm2.weight                              width
    attention.qkv.weight                                    (H + 2·G)·K × width, K = width / H
    attention.output.weight                                 width × width
    feed_forward.gate.weight, .up.weight, .down.weight      hidden × width, twice; width × hidden

Rotation stands between the projection and the scores, so the forward of your MultiHeadAttention cannot be used as it
is: take its `qkv` and `output`, split and turn the heads, and call your own `attention`.

`oneblock check graduation` first asks for small models with random weights. Then it fetches SmolLM2 (once, 93 MB), puts
the weights of its 30 blocks into your block, one after another, and sends a sentence through. The logits must be those
that the model has, to 1e-4.
"""

from torch import Tensor, nn


class LlamaBlock(nn.Module):
    """x B×T×D -> B×T×D: `norm1`, `attention`, `norm2`, `feed_forward`."""

    def __init__(
        self, width: int, num_heads: int, num_kv_heads: int, hidden: int, base: float, eps: float, style: str
    ) -> None:
        super().__init__()
        raise NotImplementedError("LlamaBlock is yours to write")

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("LlamaBlock.forward is yours to write")
