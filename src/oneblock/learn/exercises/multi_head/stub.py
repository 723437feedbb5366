"""Exercise 4: attention in several heads.

One attention weighs all tokens by one question. A token has several: a verb looks for its subject, and for its object.
So the width D is cut into H heads of K = D / H numbers each. Every head attends by itself, as in exercise 2, and a last
matrix, the output projection, mixes what the heads have found:

    q, k, v = x Wqᵀ, x Wkᵀ, x Wvᵀ                    one matrix for all three: `qkv`
    head i  = attention(q of head i, k of head i, v of head i, mask)
    answer  = [head 1, head 2, …, head H] Woᵀ       side by side, D numbers again: `output`

Your class has these names (with other names or another layout it needs a `mapping()`, see below):

    qkv            nn.Linear without bias; its rows are first all of q, then all of k, then all of v,
                   and within each first those of head 0, then of head 1, …
    output         nn.Linear without bias, D to D
    num_heads, num_kv_heads

Shapes: x and the answer are B×T×D. The scores of all heads together are B×H×T×T: with the heads as an axis beside the
batch, exercise 2 does all of them at once. The numbers of one token lie side by side, head after head. So view them
first as B×T×H×K, and only then swap T and H. A view as B×H×T×K has the right shape, and mixes tokens with heads. On the
way back it is the same: first swap, then join H and K. Divide by the root of K, the width of one head, not of D.

`mask` is boolean, True = may attend, and comes in one of four shapes: T×T for all; B×T×T, one for each text; B×1×T×T;
B×H×T×T, one for each head. Mind the second: torch lines up shapes from the right, and would take its B for the heads.
Every query may attend to something. Without a mask all attend to all.

Groups. Keys and values may have fewer heads than queries: num_kv_heads = G heads, which H/G query heads share. That
makes what is kept while writing H/G times smaller. Query head i reads group i // (H/G): with H = 6, G = 3 heads 0 and 1
read group 0, heads 2 and 3 group 1. Then `qkv` has D + 2·G·K rows. Left out, G = H.

Where H does not divide D, or G does not divide H, the class raises ValueError when it is made.

    MultiHeadAttention(6, 3)(torch.randn(2, 5, 6)).shape  ->  (2, 5, 6)          qkv.weight is 18×6
    MultiHeadAttention(12, 6, 3): K = 2, so qkv.weight has 12 + 6 + 6 = 24 rows

Another layout: write `def mapping(): return {"qkv": ["to_q", "to_k", "to_v"], "output": "to_out"}` (ours: yours) beside
the class. You may use your own attention and softmax, or torch's softmax.
"""

from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """`qkv`, `output`, `num_heads`, `num_kv_heads`; ValueError where sizes do not divide."""

    def __init__(self, width: int, num_heads: int, num_kv_heads: int | None = None) -> None:
        super().__init__()
        raise NotImplementedError("MultiHeadAttention is yours to write")

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x B×T×D; mask T×T, B×T×T or B×(1 or H)×T×T, True = may attend. B×T×D."""
        raise NotImplementedError("forward is yours to write")
