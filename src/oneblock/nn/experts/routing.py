"""Routing: which tokens go to which experts, with what weight, and who finds a place. Pure functions.

Shapes as in GShard: G groups of S tokens, E experts, J choices of each token. Tokens come in order of priority.
`real_GS` False: a pad, which goes nowhere and takes no place.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Routing(NamedTuple):
    """The experts chosen, all G × S × J, the token's weights for them (0 where dropped), its places among those who
    asked for the same one, and whether it is kept.

    capacity: places of an expert, a number or one for each group; None: no limit
    """

    experts: Tensor
    weights: Tensor
    places: Tensor
    kept: Tensor
    capacity: int | Tensor | None = None

    def without_place(self) -> Tensor:
        """G × S × J, True where the expert was full."""
        if self.capacity is None:
            return torch.zeros_like(self.kept)
        limit = self.capacity if isinstance(self.capacity, int) else self.capacity[:, None, None]
        return self.places >= limit


def switch_routing(
    probabilities_GSE: Tensor, real_GS: Tensor | None = None, capacity: int | Tensor | None = None
) -> Routing:
    """The best expert, its weight the probability as it is (Fedus et al. 2022, eq. 2), places in the tokens' order.

    Normalised over the one chosen, the weight would always be 1 and the task would teach the router nothing.
    """
    experts_GSJ = best(probabilities_GSE, 1)
    return _placed(
        experts_GSJ, probabilities_GSE.gather(-1, experts_GSJ), real_GS, capacity, probabilities_GSE.shape[-1]
    )


def gshard_routing(
    probabilities_GSE: Tensor,
    real_GS: Tensor | None = None,
    capacity: int | Tensor | None = None,
    *,
    draw_GS: Tensor | None = None,
    by_choice: bool = True,
) -> Routing:
    """The two best experts, weights g1/(g1 + g2) and g2/(g1 + g2) (Lepikhin et al. 2021, algorithm 1).

    draw_GS: U(0, 1); the second one is taken only where 2 · its weight is above it, and counts as one that asked for a
    place all the same. by_choice: all first choices find places before any second one, as printed; False: each token's
    second before the next token's first. What is left of a token that lost one expert is not normalised again.
    """
    experts_GSJ = best(probabilities_GSE, 2)
    chosen_GSJ = probabilities_GSE.gather(-1, experts_GSJ)
    weights_GSJ = chosen_GSJ / chosen_GSJ.sum(-1, keepdim=True)
    wanted_GSJ = None
    if draw_GS is not None:
        second_GS = 2 * weights_GSJ[..., 1] > draw_GS
        wanted_GSJ = torch.stack([torch.ones_like(second_GS), second_GS], -1)
    num_experts = probabilities_GSE.shape[-1]
    return _placed(experts_GSJ, weights_GSJ, real_GS, capacity, num_experts, wanted_GSJ, by_choice)


def top_k_routing(
    probabilities_GSE: Tensor,
    k: int,
    real_GS: Tensor | None = None,
    *,
    renormalise: bool = True,
    bias_E: Tensor | None = None,
) -> Routing:
    """The k best experts, without a limit; weights normalised over them, or the probabilities as they are.

    bias_E: added to what is compared, never to the weights (Wang et al. 2024, eq. 3).
    """
    scores_GSE = probabilities_GSE if bias_E is None else probabilities_GSE + bias_E
    experts_GSJ = best(scores_GSE, k)
    weights_GSJ = probabilities_GSE.gather(-1, experts_GSJ)
    if renormalise:
        weights_GSJ = weights_GSJ / weights_GSJ.sum(-1, keepdim=True)
    return _placed(experts_GSJ, weights_GSJ, real_GS, None, probabilities_GSE.shape[-1])


def best(scores_GSE: Tensor, number: int) -> Tensor:
    """The experts of the highest scores, best first, the lower number where two are equal: G × S × J.

    `topk` promises no order between equal ones.
    """
    scores_GSE, chosen = scores_GSE.detach(), []
    for _ in range(number):
        chosen.append(scores_GSE.argmax(-1, keepdim=True))
        scores_GSE = scores_GSE.scatter(-1, chosen[-1], -torch.inf)
    return torch.cat(chosen, -1)


def places(experts_GSJ: Tensor, num_experts: int, real_GS: Tensor | None = None, *, by_choice: bool = False) -> Tensor:
    """How many asked for the same expert of the same group before: G × S × J.

    An expert counts all who ask, also those that find no place or are not taken.
    """
    asked_GSJE = experts_GSJ.unsqueeze(-1) == torch.arange(num_experts, device=experts_GSJ.device)
    if real_GS is not None:
        asked_GSJE = asked_GSJE & real_GS[..., None, None]
    in_order = asked_GSJE.transpose(1, 2) if by_choice else asked_GSJE
    before = in_order.flatten(1, 2).cumsum(1, dtype=torch.int32).unflatten(1, in_order.shape[1:3]) - 1
    before_GSJE = before.transpose(1, 2) if by_choice else before
    return before_GSJE.gather(-1, experts_GSJ.unsqueeze(-1)).squeeze(-1)


def _placed(
    experts_GSJ: Tensor,
    weights_GSJ: Tensor,
    real_GS: Tensor | None,
    capacity: int | Tensor | None,
    num_experts: int,
    wanted_GSJ: Tensor | None = None,
    by_choice: bool = False,
) -> Routing:
    places_GSJ = places(experts_GSJ, num_experts, real_GS, by_choice=by_choice)
    routing = Routing(experts_GSJ, weights_GSJ, places_GSJ, torch.ones_like(experts_GSJ, dtype=torch.bool), capacity)
    kept_GSJ = ~routing.without_place()
    for also in (wanted_GSJ, None if real_GS is None else real_GS.unsqueeze(-1)):
        kept_GSJ = kept_GSJ if also is None else kept_GSJ & also
    return routing._replace(kept=kept_GSJ, weights=weights_GSJ * kept_GSJ)
