"""A step of training with a key/value cache, token by token, and without one: what it would cost, and what it gives."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.compare.measures.subject import Found, Subject, log_ratio
from oneblock.machine.device import synchronize
from oneblock.nn.cache import Cache

REPEATS, MOST = 3, 128
"""How often each is timed, in turns (the fastest counts); the tokens of the text."""


class Growing(Cache):
    """A cache that gradients come back through: keys and values are joined anew, and nothing is written over."""

    def store(self, slot: int, k_BGTK: Tensor, v_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """What was kept with what is new behind it, B × G × S × K."""
        for room, new in ((self.keys, k_BGTK), (self.values, v_BGTK)):
            room[slot] = torch.cat([room[slot][:, :, : self.length], new], dim=2)
        return self.keys[slot], self.values[slot]


def measure(subject: Subject) -> Found:
    """`cached_training_gain`: ln of how much longer forward and backward take one token after another with a cache.

    All targets are known in training, so one pass has every loss of a text; a cache has nothing left to save, and the
    same gradients (`gradients`) come of as many passes as there are tokens.
    """
    model, tokens = subject.model, subject.windows(subject.context, 1)[:, :MOST]
    was_training = model.training
    model.eval()
    ways = {"one pass": one_pass, "one by one": one_by_one}
    took: dict[str, list[float]] = {name: [] for name in ways}
    with torch.enable_grad():
        for _ in range(REPEATS):
            for name, way in ways.items():
                began = time.perf_counter()
                gradients(model, way(model, tokens), tokens)
                took[name].append(time.perf_counter() - began)
    model.train(was_training)
    return Found(measures={"cached_training_gain": log_ratio(min(took["one by one"]), min(took["one pass"]))})


def one_pass(model: nn.Module, tokens: Tensor) -> Tensor:
    """All logits at once, B × T × V."""
    logits: Tensor = model(tokens)
    return logits


def one_by_one(model: Any, tokens: Tensor) -> Tensor:
    """The same logits, of a pass for each token."""
    plain = model.cache(*tokens.shape)
    cache = Growing([], plain.batch, plain.capacity)
    cache.keys, cache.values = plain.keys, plain.values
    return torch.cat([model(tokens[:, at : at + 1], cache=cache) for at in range(tokens.shape[1])], dim=1)


def gradients(model: nn.Module, logits_BTV: Tensor, tokens: Tensor) -> list[Tensor]:
    """Of the mean loss of the next token; waits until a GPU has them."""
    loss = nn.functional.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), tokens[:, 1:].flatten())
    found = list(torch.autograd.grad(loss, list(model.parameters())))
    synchronize(tokens.device)
    return found
