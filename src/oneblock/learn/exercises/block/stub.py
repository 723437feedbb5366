"""Exercise 6: the block.

A transformer is one block, again and again. What flows through is the residual stream: B×T×D, D numbers for each token.
A block reads the stream, and adds to it, twice:

    x = x + attention(norm1(x))             tokens look at one another
    x = x + feed_forward(norm2(x))          each token by itself thinks over what it has found

    x ──────────────────(+)───────────────────(+)──> x
       └ norm1 ─ attention ┘  └ norm2 ─ feed_forward ┘

The straight line is the bypass. Nothing stands on it: no norm, no factor. So what earlier blocks have written arrives,
the gradient comes back unhindered, and a block that adds zeros is exactly the identity. The norm stands before each
step (pre-norm), which so reads tokens of standard size. The second step reads what the first has added to.

    feed_forward(x) = gelu(x Wupᵀ) Wdownᵀ         D numbers to `hidden` (often 4·D), and back to D

GELU is x · Φ(x), Φ being the share of a normal curve that lies below x: a soft relu. torch.nn.functional.gelu has it,
exact or with approximate="tanh"; both are right. Without it the two matrices would be no more than one.

What the classes hold (other names and layouts need a mapping(), as in exercise 4):

    FeedForward(width, hidden)          up, down            nn.Linear without bias
    Block(width, num_heads, hidden)     norm1, norm2        LayerNorm with weight and bias, eps 1e-5; two of them
                                        attention           your MultiHeadAttention (qkv, output)
                                        feed_forward        a FeedForward

Block's forward(x) gets no mask: it makes the causal one itself, for as many tokens as come in, be it 1 or 40. Answers
have the shape and dtype of x, and x stays as it is: `x += …` would change the caller's stream, `x = x + …` does not.
Sizes that do not divide are a ValueError (exercise 4 raises it already).

    Block(6, 3, 24)(torch.randn(2, 5, 6)).shape  ->  (2, 5, 6)

nn.LayerNorm and nn.Linear are allowed now, you have built what matters in them. Take attention and mask from your own
files (`from .multi_head import MultiHeadAttention`, `from .causal_mask import causal_mask`), or paste them in here.
"""

from torch import Tensor, nn


class FeedForward(nn.Module):
    """`up`, GELU, `down`: each token by itself."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        raise NotImplementedError("FeedForward is yours to write")

    def forward(self, x: Tensor) -> Tensor:
        """x B×T×D; B×T×D."""
        raise NotImplementedError("forward is yours to write")


class Block(nn.Module):
    """`norm1`, `attention`, `norm2`, `feed_forward`: pre-norm, causal."""

    def __init__(self, width: int, num_heads: int, hidden: int) -> None:
        super().__init__()
        raise NotImplementedError("Block is yours to write")

    def forward(self, x: Tensor) -> Tensor:
        """x B×T×D; B×T×D."""
        raise NotImplementedError("forward is yours to write")
