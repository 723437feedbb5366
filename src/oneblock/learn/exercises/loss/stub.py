"""Exercise 7: the loss.

A language model reads tokens, and at each place t it says how likely every token of the vocabulary is to come next. It
says so in logits, V numbers whose softmax are the shares. The loss asks how surprised it was by what did come:

    loss at t = −log softmax(logits[t])[ tokens[t + 1] ]

0 if it was sure and right, ln V if all tokens were alike to it, and more the surer it was of something else.

The shift. logits[t] belong to the token at t + 1, not to that at t. Of T tokens the first is nobody's target, and what
is said at the last place has no target: T − 1 losses a text.

    tokens     the    sky    is     blue
    target at  t=0 →  sky    t=1 → is    t=2 → blue      logits at t=3: nothing to compare with

Forgotten, the shift gives a model that learns to repeat its input, with a beautiful loss. Done in a row of all texts
joined together, the last token of one text would have to say the first of the next; each text is shifted by itself.

Pads. Texts of a batch have different lengths, and places left over hold a token `pad`, behind or in front. A target
that is `pad` does not count: neither in the sum nor in what the sum is divided by. It is the target that decides, not
the token read. Tokens that do count weigh all alike, in whichever text they stand: one mean over all of them.

    loss = sum of the losses whose target is not pad / their number

`pad` may be any token, also 0. None: all targets count.

Shapes: logits B×T×V, floats; tokens B×T, whole numbers 0 … V − 1; the loss is a scalar tensor of the logits' dtype,
through which gradients flow. Logits of ±10,000 are no trouble if the logarithm of softmax is taken in one piece:
log softmax(x)[i] = x[i] − logsumexp(x), where softmax first and log then would give log 0. Neither logits nor tokens
may change: `tokens[:, 1:]` is a window into the caller's tokens, so do not write −100 into it.

    next_token_loss(torch.zeros(1, 3, 4), torch.tensor([[0, 1, 2]]))  ->  tensor(1.3863), which is ln 4

torch.nn.functional.cross_entropy and its kin are allowed; see what they take: logits, not shares.
"""

from torch import Tensor


def next_token_loss(logits: Tensor, tokens: Tensor, pad: int | None = None) -> Tensor:
    """logits B×T×V, of which those at t predict token t + 1; the mean over the targets that are not `pad`, a scalar."""
    raise NotImplementedError("next_token_loss is yours to write")
