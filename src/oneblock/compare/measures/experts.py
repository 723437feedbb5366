"""Mixtures of experts: who got the tokens, and how many found no place."""

from __future__ import annotations

import math

import torch

from oneblock.compare.measures.subject import Found, Subject
from oneblock.nn.record import Record

ROWS = 16


def measure(subject: Subject) -> Found:
    """The fullest expert's load and the share dropped, in training mode, where capacities and chance are at work.

    Mean over the mixtures. A model without experts has none of these: NaN, and no curve.
    """
    model, record = subject.model, Record()
    tokens = subject.windows(subject.context, ROWS)
    was_training = model.training
    model.train()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(subject.seed)
        model(tokens, record=record)
    model.train(was_training)
    if not record.layers:
        return Found(measures={"imbalance": math.nan, "dropped": math.nan})
    loads_LE = torch.stack([layer.load.sort(descending=True).values for layer in record.layers]).double()
    load_E = loads_LE.shape[1] * loads_LE.mean(0)
    return Found(
        measures={
            "imbalance": float(load_E[0]),
            "dropped": float(torch.stack([layer.dropped for layer in record.layers]).double().mean()),
        },
        curves={"tokens by expert": [[float(n), float(load)] for n, load in enumerate(load_E, 1)]},
    )
