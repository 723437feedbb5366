"""Exercise 13: experts.

A wider feed-forward knows more and costs more, for every token. Experts break that tie: there are E feed-forwards, the
experts, and each token is sent to k of them only. A small linear layer, the router, gives each token E logits.

`route(logits, k, capacity=None)` turns logits N×E, a row for each of N tokens, into (weights, chosen), both N×k:

    p       = softmax of the token's logits over all E experts
    chosen  = numbers of the k experts with the largest p, the largest first
    weights = k = 1: p of the chosen one, as it is. k > 1: p of the chosen ones, divided by their sum

Why not divide for k = 1: p / p is always 1, and then nothing tells the router whether its choice was good.

    logits (ln 5, ln 3, ln 2), so p = (0.5, 0.3, 0.2):   k = 1: weight 0.5, chosen 0
                                                         k = 2: weights 5/8 and 3/8, chosen 0 and 1

In large models an expert takes at most `capacity` tokens. Places go in token order: token 0 takes a place at its first
choice, then one at its second, then token 1, and so on; whoever comes late is dropped there, which no later token can
change. A dropped choice keeps its entry in `chosen` and its weight is 0; all other weights stay as they are. None: no
limit.

`MixtureOfExperts(width, hidden, num_experts, k)` has `router`, a linear layer width→num_experts, and `experts`, a
ModuleList; each expert has `up` width→hidden and `down` hidden→width, with a GELU (exact or tanh) between. No biases,
no capacity, no residual. `forward(x)`, B×T×width in and out: for each token, over its chosen experts,

    output = sum of  weight · expert(token)

The weight stands outside: an expert is not linear, so weighing its input is something else. Run an expert on the tokens
that have chosen it, and put each result back in the row its token came from. Some experts may have no token at all.
What a token gets depends on that token alone.

`load_balancing_loss(probabilities, chosen)` keeps the router from sending everything to one expert:

    loss = E · sum over experts of  f · P
    f: the share of the N·k choices that fell on this expert     P: the mean of its column in probabilities N×E

One number. Evenly spread it is 1 for every k, all on one expert it is near E. f is a count and has no gradient; P has.
"""

from torch import Tensor, nn


def route(logits: Tensor, k: int, capacity: int | None = None) -> tuple[Tensor, Tensor]:
    """(weights, chosen), both N×k, of logits N×E."""
    raise NotImplementedError("route is yours to write")


class MixtureOfExperts(nn.Module):
    """x B×T×width → B×T×width; each token by k of the experts. Parts: router, experts (each up, down)."""

    def __init__(self, width: int, hidden: int, num_experts: int, k: int) -> None:
        super().__init__()
        raise NotImplementedError("MixtureOfExperts is yours to write")

    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError("MixtureOfExperts.forward is yours to write")


def load_balancing_loss(probabilities: Tensor, chosen: Tensor) -> Tensor:
    """E · Σ f · P, a number; probabilities N×E, chosen N×k."""
    raise NotImplementedError("load_balancing_loss is yours to write")
