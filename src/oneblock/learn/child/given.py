"""What a check lends to the learner's code where an exercise takes an object: none of it is an answer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, ClassVar
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_post_hook


class Projections(nn.Module):
    """The parameters of multi-head attention, for a file that has no MultiHeadAttention of its own."""

    def __init__(self, width: int, num_heads: int, num_kv_heads: int | None = None) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads or num_heads
        head = width // num_heads
        self.qkv = nn.Linear(width, (num_heads + 2 * self.num_kv_heads) * head, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(
            "only its projections are lent; to call it, have your MultiHeadAttention in this file"
        )


class Watched(nn.Module):
    """A small causal model, tokens B×T -> logits B×T×V, that records how it is trained.

    The logits are those of the token, the mean of those of all tokens so far, and a vector. still: at each pass the
    weights go back to what they were at first, so that nothing depends on the optimiser.
    """

    known: ClassVar[WeakValueDictionary[int, Watched]] = WeakValueDictionary()
    """Whose a parameter is, by its id."""
    hooked = False

    def __init__(self, vocab_size: int, scale: float = 1.0, still: bool = False, records: bool = True) -> None:
        super().__init__()
        self.scale, self.still, self.records = scale, still, records
        self.token, self.past = (
            nn.Linear(vocab_size, vocab_size, bias=False),
            nn.Linear(vocab_size, vocab_size, bias=False),
        )
        self.usual = nn.Parameter(torch.zeros(vocab_size))
        self.passes: list[dict[str, Any]] = []
        self.quiet = 0
        # Of each step of an optimiser: which, whether it remembers something, and what it has made of the weights.
        self.stepped: list[tuple[Any, bool, dict[int, Tensor]]] = []
        self.first: list[Tensor] | None = None
        for name, parameter in self.named_parameters():
            Watched.known[id(parameter)] = self
            parameter.register_post_accumulate_grad_hook(lambda p, name=name: self._graded(name, p))
        if not Watched.hooked:
            Watched.hooked = True
            register_optimizer_step_post_hook(_stepped)

    def forward(self, tokens: Tensor) -> Tensor:
        if self.records:
            self._record(tokens)
        rows, past = self.token.weight[tokens], self.past.weight[tokens].cumsum(1)
        count = torch.arange(1, tokens.shape[1] + 1, dtype=rows.dtype)[:, None]
        return self.scale * (rows + past / count + self.usual)

    def _record(self, tokens: Tensor) -> None:
        own = list(self.parameters())
        if self.still:
            self.first = self.first or [p.detach().clone() for p in own]
            with torch.no_grad():
                for p, value in zip(own, self.first, strict=True):
                    p.copy_(value)
        if not torch.is_grad_enabled():
            self.quiet += 1
            return
        entry = {
            "tokens": tokens.detach().clone(),
            "weights": [p.detach().clone() for p in own],
            "training": all(module.training for module in self.modules()),
            "steps": len(self.stepped),
            "quiet": self.quiet,
            "gradients": {},
        }
        self.passes.append(entry)

    def _graded(self, name: str, parameter: Tensor) -> None:
        if self.passes and parameter.grad is not None:
            self.passes[-1]["gradients"][name] = parameter.grad.detach().clone()
            self.passes[-1]["graded"] = len(self.stepped)

    def gradients(self) -> list[dict[str, Tensor]]:
        """After each backward pass, what stood in .grad."""
        return [entry["gradients"] for entry in self.passes]

    def seen(self) -> list[Tensor]:
        """The tokens of each pass."""
        return [entry["tokens"] for entry in self.passes]

    def weights_then(self) -> list[list[Tensor]]:
        """At each pass, and now."""
        return [*(entry["weights"] for entry in self.passes), [p.detach().clone() for p in self.parameters()]]

    def course(self) -> dict[str, Any]:
        """By pass, what does not depend on the optimiser: weights that changed, its steps, passes without gradients."""
        then = self.weights_then()
        changed = [[not torch.equal(a, b) for a, b in zip(one, two, strict=True)] for one, two in pairwise(then)]
        bounds = pairwise([*(entry["steps"] for entry in self.passes), len(self.stepped)])
        quiet = [*(entry["quiet"] for entry in self.passes[1:]), self.quiet]
        return {
            "changed": changed,
            "steps": [self._updates(one, two) for one, two in bounds],
            "changed_after": self._changed_after(then),
            "late": [entry.get("graded", entry["steps"]) - entry["steps"] for entry in self.passes],
            "put_back": any(all(map(torch.equal, then[-1], early)) for early in then[:-1]),
            "forgetful": any(self._forgets(at) for at in range(1, len(self.stepped))),
            "quiet": [end - entry["quiet"] for end, entry in zip(quiet, self.passes, strict=True)],
            "downhill": [self._downhill(*three) for three in zip(then, then[1:], self.passes, strict=False)],
            "training": [entry["training"] for entry in self.passes],
        }

    def _forgets(self, at: int) -> bool:
        """Whether a step's optimiser is a new one that remembers, for parameters that another has stepped before."""
        optimizer, remembers, left = self.stepped[at]
        before = self.stepped[:at]
        known = any(optimizer is other for other, _, _ in before)
        return remembers and not known and any(left.keys() & theirs.keys() for _, _, theirs in before)

    def _updates(self, one: int, two: int) -> int:
        """How often a parameter was stepped between two passes, the one that was most often."""
        stepped = [number for _, _, left in self.stepped[one:two] for number in left]
        return max((stepped.count(id(p)) for p in self.parameters()), default=0)

    def _changed_after(self, then: list[list[Tensor]]) -> bool:
        """Whether weights are others now than the last optimiser's step left them, and not after those before."""
        own, moved = list(map(id, self.parameters())), []
        ends = [*(entry["steps"] for entry in self.passes[1:]), len(self.stepped)]
        for entry, end, now in zip(self.passes, ends, then[1:], strict=True):
            left = self.stepped[end - 1][2] if end > entry["steps"] else {}
            moved.append(any(n in left and not torch.equal(left[n], t) for n, t in zip(own, now, strict=True)))
        return bool(moved) and moved[-1] and not any(moved[:-1])

    def _downhill(self, one: list[Tensor], two: list[Tensor], entry: dict[str, Any]) -> int:
        parts = zip(self.named_parameters(), one, two, strict=True)
        moved = [float(((b - a) * entry["gradients"][n]).sum()) for (n, _), a, b in parts if n in entry["gradients"]]
        return (sum(moved) < 0) - (sum(moved) > 0)


def _stepped(optimizer: Any, args: Any, kwargs: Any) -> None:
    own = [p for group in optimizer.param_groups for p in group["params"]]
    models = {id(model): model for p in own if (model := Watched.known.get(id(p))) is not None and model.records}
    for model in models.values():
        left = {id(p): p.detach().clone() for p in own}
        model.stepped.append((optimizer, any(map(bool, optimizer.state.values())), left))


class Feed:
    """An iterator over batches, round and round. It can be asked `most` times and then says so."""

    def __init__(self, batches: list[Tensor], most: int) -> None:
        self.batches, self.most, self.drawn = batches, most, 0

    def __iter__(self) -> Feed:
        return self

    def __next__(self) -> Tensor:
        if self.drawn == self.most:
            raise RuntimeError(f"the iterator of batches, which never ends, was asked for more than {self.most}")
        self.drawn += 1
        return self.batches[(self.drawn - 1) % len(self.batches)]


GIVEN: dict[str, Callable[..., Any]] = {"MultiHeadAttention": Projections, "Watched": Watched, "Feed": Feed}
"""Names that a check may ask for where the learner's file does not have them."""
