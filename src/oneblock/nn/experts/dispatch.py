"""Dispatch: the tokens carried to their experts and back, in two forms of the same numbers.

y = Σ_j weight_j · expert_j(x) over a token's choices; 0 where all were dropped.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.nn.experts.grouped import Rearranged, sorting
from oneblock.nn.experts.groups import Groups
from oneblock.nn.experts.routing import Routing
from oneblock.nn.experts.stacked import Experts, FewRows, Places, Rows

Dispatch = Callable[[Tensor, Routing, Groups, int, Experts], Tensor]


def by_masks(x_BTD: Tensor, routing: Routing, groups: Groups, num_experts: int, experts: Experts) -> Tensor:
    """As the papers write it (Lepikhin et al. 2021, algorithm 2): masks S × E × C in and out, all sums einsums.

    Costs 4·E·C·D for a token besides the experts, and these compute their empty places too. Memory S·E·C.
    """
    x_GSD = groups.split(x_BTD)
    places_GSJ = routing.places.where(routing.kept, 0).long()
    # Without a limit, or with one for each group, as many as the fullest expert takes.
    limit = routing.capacity if isinstance(routing.capacity, int) else int(places_GSJ.max()) + 1
    num_places = min(limit, x_GSD.shape[1])
    place_GSJC = F.one_hot(places_GSJ, num_places)
    taken_GSJEC = F.one_hot(routing.experts, num_experts).unsqueeze(-1) * place_GSJC.unsqueeze(-2)
    dispatch_GSEC = (taken_GSJEC * routing.kept[..., None, None]).sum(2).to(x_GSD.dtype)
    combine_GSEC = (taken_GSJEC * routing.weights[..., None, None]).sum(2).to(x_GSD.dtype)
    x_EGCD = torch.einsum("gsec,gsd->egcd", dispatch_GSEC, x_GSD)
    y_EGCD = experts(x_EGCD.flatten(1, 2), Places()).unflatten(1, x_EGCD.shape[1:3])
    return groups.join(torch.einsum("gsec,egcd->gsd", combine_GSEC, y_EGCD))


def by_sorting(x_BTD: Tensor, routing: Routing, groups: Groups, num_experts: int, experts: Experts) -> Tensor:
    """Tokens sorted by expert, each expert's a contiguous slice; nothing of the size S × E × C, no empty places.

    The sort is stable and the sum over a token's choices in their order, so the numbers do not depend on chance.
    """
    chosen_NJ, kept_NJ, weights_NJ = (
        groups.join(part).flatten(0, 1) for part in (routing.experts, routing.kept, routing.weights)
    )
    choices = chosen_NJ.shape[1]
    x_ND, weights_NJ = x_BTD.flatten(0, 1), weights_NJ.to(x_BTD.dtype)
    few = experts.here and _decodes(x_BTD)
    if few and torch.compiler.is_compiling() and x_ND.shape[0] == 1:
        y_MD = experts(x_ND.expand(choices, -1), FewRows(chosen_NJ.flatten()))
    elif few and x_BTD.is_cuda:
        y_MD = by_every_expert(x_ND, chosen_NJ, num_experts, experts)
    else:
        # The dropped ones come last.
        experts_M = chosen_NJ.where(kept_NJ, num_experts).flatten()
        order_M, back_M = sorting(experts_M)
        counts_E = (experts_M.unsqueeze(1) == torch.arange(num_experts, device=order_M.device)).sum(0)
        sorted_MD = Rearranged.apply(x_ND, order_M, back_M, choices)
        rows = Rows(counts_E, experts_M[order_M].clamp(max=num_experts - 1))
        y_MD = Rearranged.apply(experts(sorted_MD, rows), back_M, order_M, 1)
    y_NJD = y_MD.unflatten(0, (-1, choices)) * weights_NJ.unsqueeze(-1)
    return y_NJD.sum(1).view_as(x_BTD)


def by_every_expert(x_ND: Tensor, chosen_NJ: Tensor, num_experts: int, experts: Experts) -> Tensor:
    """Every expert on every token, and what was chosen taken, N·J × D: for a GPU that decodes a few rows.

    Reading the experts' weights is then what takes time, and no shape depends on the router, so that the step can be
    recorded and replayed.
    """
    y_END = experts(x_ND.expand(num_experts, -1, -1), Places())
    return y_END[chosen_NJ, torch.arange(x_ND.shape[0], device=x_ND.device).unsqueeze(1)].flatten(0, 1)


def _decodes(x_BTD: Tensor) -> bool:
    return x_BTD.shape[1] == 1 and not torch.is_grad_enabled()


DISPATCHES: dict[str, Dispatch] = {"sorted": by_sorting, "einsum": by_masks}
