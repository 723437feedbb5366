"""Exercise 8: a GPT, whole.

All parts are there. A GPT is a stack of blocks with something before and after it:

    x      = token_embedding[tokens] + position_embedding[0 … T−1]     tokens B×T -> x B×T×D
    x      = block(x)                                                  for each of num_layers blocks, in turn
    logits = head(norm(x))                                             B×T×V

token_embedding is a table of V rows of width D, position_embedding one of `context` rows: the row of place t is added
to whatever token stands there, in every text alike. Without it the model could not tell in which order tokens come.
The norm at the end is needed because the blocks are pre-norm: each adds to the stream, nobody takes anything away,
and the head would see numbers that grow with depth. The logits at t are about token t + 1 and may depend on tokens 0
to t alone.

The names, so that your weights can be compared (mapping() in this file says it where yours are others):

    token_embedding.weight     V×D            position_embedding.weight   context×D
    blocks.0 … blocks.N−1      each the Block(width, num_heads, 4 * width) of exercise 6: norm1, attention with qkv
                               and output, norm2, feed_forward with up and down; linear layers without bias
    norm.weight, norm.bias     a LayerNorm, eps 1e-5
    head.weight                V×D, no bias. It may be the same parameter as token_embedding.weight ("tied")

Keep the blocks in an nn.ModuleList: in a plain list their parameters are nobody's, and N times the same object is one
block. Tokens longer than `context` have no position: raise ValueError.

The trap is how it starts. A fresh model knows nothing, so its loss must be about ln V, the loss of even chances; within
0.4 here. Rows of N(0, 1) in a tied head make logits as large as √D and a loss many times that: use small numbers
(standard deviation 0.02) for it. For V = 97, ln V is 4.57.

The further step, for those who like: TransformerDecoder(num_layers, hidden_size, num_heads=8), `forward(x) -> x`, the
stack alone, from B×T×D to B×T×D and causal; TransformerDecoder(8, 512) is a real one. Nobody has to write it, and it
is graded where it is there: every layer has parameters of its own and is used, the stream goes through untouched (a
norm at the very end is as right as none), heads that do not divide the width are a ValueError. If its blocks have the
names above, they are compared as well.
"""

from torch import Tensor, nn


class TinyGPT(nn.Module):
    """tokens B×T -> logits B×T×V."""

    def __init__(self, vocab_size: int, width: int, num_heads: int, num_layers: int, context: int) -> None:
        super().__init__()
        raise NotImplementedError("TinyGPT is yours to write")

    def forward(self, tokens: Tensor) -> Tensor:
        raise NotImplementedError("TinyGPT's forward is yours to write")
