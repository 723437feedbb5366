"""Exercise 12: from GPT to Llama.

Four parts changed between GPT-2 and Llama, ten to thirty lines each. RMSNorm you have (exercise 5). Here are the
others, and a second way to tell positions.

1. `rope(x, positions, base, style)`: positions by turning. The K numbers of a query or key are K/2 pairs, each an arrow
   in a plane. Token p's pair i is turned by the angle p · base^(−2i/K), i = 0 … K/2 − 1:

       (a, b)  ->  (a cos − b sin,  b cos + a sin)

   The score of two turned vectors depends on the distance of their tokens alone; nothing is learned. K is even. Which
   two numbers are a pair is a convention, and weights made for one are useless under the other:

       "half"          (x[i], x[i + K/2])     the first half with the second
       "interleaved"   (x[2i], x[2i + 1])     neighbours

   What comes out stands where it came from. x is …×T×K, such as B×T×K or B×H×T×K. `positions` are whole numbers: T of
   them for all, or B×T, a row for each entry of x's first axis. They need not begin at 0 (with a cache they don't), and
   none is the last: 131,072 is a place like any other.

       x = (1, 0), position 1: (cos 1, sin 1)           x = (1, 0, 0, 0), "half", position 1: (cos 1, 0, sin 1, 0)

2. `SwiGLU(width, hidden)`: a feed-forward with a gate: down(silu(gate(x)) · up(x)), three linear layers without bias:
   `gate` and `up` width→hidden, `down` hidden→width. silu(z) = z · sigmoid(z). Which of the two has the silu matters.

3. `alibi(num_heads, num_queries, num_keys)`: positions without any table. A bias H×T×S that is added to the scores:
   −slope of the head · distance of query and key. The last query belongs to the last key, as in exercise 3, so query i
   stands at place i + S − T. Each row may be shifted as a whole, since softmax does not see it, and what stands at
   later keys does not matter. The slopes, H a power of two:

       2^(−8/H), 2^(−16/H), … down to 2^(−8)            H = 8: 1/2, 1/4, … 1/256;   H = 4: 1/4, 1/16, 1/64, 1/256

   Otherwise take n, the next lower power of two: first its n slopes, then from the slopes for 2n the first, third,
   fifth, … until there are H.     H = 3: 1/16, 1/256 (for 2), then 1/4 (the first of those for 4)

4. `MultiHeadAttention(width, num_heads, num_kv_heads)` of exercise 4, with groups: if yours has them, import it here.
   Keys and values have num_kv_heads = G heads, and query head i reads group i // (H/G). `qkv` has the rows of H heads
   of q, then G of k, then G of v, K = width/H each; `output` is width→width; neither has a bias. `num_heads` and
   `num_kv_heads` can be read. G left out means H. ValueError where H does not divide the width or G not H. The mask,
   True = may attend, is T×S, B×T×S or B×(1 or H)×T×S.

       H = 6, G = 3: heads 0 and 1 read group 0, heads 2 and 3 group 1, heads 4 and 5 group 2
"""

from torch import Tensor, nn


def rope(x: Tensor, positions: Tensor, base: float, style: str) -> Tensor:
    """x …×T×K with each pair turned; positions T or B×T; style "half" or "interleaved"."""
    raise NotImplementedError("rope is yours to write")


class SwiGLU(nn.Module):
    """down(silu(gate(x)) · up(x))"""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        raise NotImplementedError("SwiGLU is yours to write")

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("SwiGLU.forward is yours to write")


def alibi(num_heads: int, num_queries: int, num_keys: int) -> Tensor:
    """The bias H×T×S, aligned at the lower right."""
    raise NotImplementedError("alibi is yours to write")


class MultiHeadAttention(nn.Module):
    """Attention in heads whose keys and values are shared in groups; layers qkv, output."""

    def __init__(self, width: int, num_heads: int, num_kv_heads: int | None = None) -> None:
        super().__init__()
        raise NotImplementedError("MultiHeadAttention is yours to write")

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        raise NotImplementedError("MultiHeadAttention.forward is yours to write")
