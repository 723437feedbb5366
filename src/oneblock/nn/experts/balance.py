"""Loss-free balance: biases on the experts' choice, moved after a step."""

from __future__ import annotations

import torch
from torch import nn

from oneblock.nn.experts.mixture import Mixture, TopK
from oneblock.nn.record import Record


@torch.no_grad()
def balance(model: nn.Module, *records: Record) -> None:
    """bias_e += rate · sign(mean load − load_e) in every mixture that has such a bias (Wang et al. 2024, algorithm 1).

    To be called once after an optimiser's step, with the records of all its forward passes. Mixtures without a bias
    stay as they are; a model without mixtures may be given too.
    """
    mixtures = [module for module in model.modules() if isinstance(module, Mixture)]
    for number, mixture in enumerate(mixtures):
        if isinstance(mixture, TopK) and mixture.choice_bias is not None:
            for record in records:
                if len(record.layers) != len(mixtures):
                    raise ValueError(f"a record of {len(record.layers)} mixtures for a model of {len(mixtures)}")
            load_E = sum(record.layers[number].load for record in records)
            if isinstance(load_E, torch.Tensor):
                towards_E = (load_E.mean() - load_E).sign().to(mixture.choice_bias.dtype)
                mixture.choice_bias += mixture.bias_rate * towards_E
