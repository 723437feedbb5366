"""What routing, a mixture of experts and its balancing loss must do."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.learn.asker import Asker, Failed, Remote, describe
from oneblock.learn.exercise import Finding
from oneblock.learn.exercises.experts.reference import MixtureOfExperts, load_balancing_loss, route


def pair(a: Asker, what: str, got: Any, tokens: int, k: int) -> tuple[Tensor, Tensor]:
    """(weights, chosen), each row in the order of the experts' numbers; a finding where it is not that."""
    if not isinstance(got, tuple | list) or len(got) != 2 or not all(isinstance(part, Tensor) for part in got):
        raise Failed(a.found(f"{what} gives {describe(got)}; (weights, chosen) is asked"))
    weights, chosen = got
    for name, part in (("weights", weights), ("chosen", chosen)):
        if tuple(part.shape) != (tokens, k):
            raise Failed(a.found(f"{name} of {what} is {list(part.shape)}; right is [{tokens}, {k}]", about=got))
    if chosen.dtype.is_floating_point or chosen.dtype == torch.bool:
        raise Failed(a.found(f"chosen of {what} is {str(chosen.dtype)[6:]}; whole numbers are asked", about=got))
    order = chosen.long().argsort(dim=-1)
    return weights.gather(-1, order), chosen.long().gather(-1, order)


def compared(
    a: Asker, asked: list[tuple[Tensor, int, int | None]], told: str = "", tolerance: float | None = None
) -> Finding | None:
    """Several calls of route, all asked before any is judged."""
    given = [
        a.call("route", logits, k) if capacity is None else a.call("route", logits, k, capacity)
        for logits, k, capacity in asked
    ]
    for got, (logits, k, capacity) in zip(given, asked, strict=True):
        said = f"route of {list(logits.shape)}, k = {k}" + (f", capacity = {capacity}" if capacity is not None else "")
        weights, chosen = pair(a, said, got, len(logits), k)
        right_weights, right_chosen = route(logits, k, capacity)
        order = right_chosen.argsort(dim=-1)
        p = logits.softmax(-1)
        way = lambda p=p, w=right_weights: {"softmax(logits)": p, "the weights": w}  # noqa: E731
        wrong = a.same(chosen, right_chosen.gather(-1, order), f"chosen of {said}{told} (each row sorted)") or a.same(
            weights,
            right_weights.gather(-1, order),
            f"weights of {said}{told} (each row in the order of the experts)",
            steps=way,
            tolerance=tolerance,
        )
        if wrong:
            # About the call, not about a tensor of ours.
            return Finding(message=wrong.message, steps=way, asked=a.origin.get(id(got)))
    return None


def top_one(a: Asker) -> Finding | None:
    return compared(a, [(a.randn(7, 5), 1, None), (a.randn(3, 11), 1, None), (a.randn(5, 5), 1, None)])


def several(a: Asker) -> Finding | None:
    return compared(a, [(a.randn(7, 5), 2, None), (a.randn(5, 11), 3, None), (a.randn(3, 2), 2, None)])


def large(a: Asker) -> Finding | None:
    near = a.randn(5, 3)
    far = near + a.tensor([1e4, -1e4, 1e4, -1e4, 0.0])[:, None]
    tolerance = 5e-3 if a.dtype == torch.float32 else None
    return compared(a, [(far, 1, None), (far, 2, None)], " for logits near ±10,000", tolerance)


def crafted(a: Asker, choices: list[list[int]], experts: int) -> Tensor:
    """Logits under which token i chooses these experts in this order."""
    logits = 0.1 * a.rand(len(choices), experts)
    for token, wanted in enumerate(choices):
        for place, expert in enumerate(wanted):
            logits[token, expert] += 2.0 - 0.7 * place
    return logits


def capacity_one(a: Asker) -> Finding | None:
    busy = crafted(a, [[1], [0], [1], [1], [2], [1], [0]], 5)
    wide = a.randn(13, 3)
    return compared(a, [(busy, 1, 2), (busy, 1, 1), (wide, 1, 3), (busy, 1, 7), (wide, 1, 0)])


def capacity_several(a: Asker) -> Finding | None:
    # Token 0's second choice is token 1's first.
    chain = crafted(a, [[0, 1], [1, 2], [2, 0], [3, 1], [1, 3]], 5)
    return compared(a, [(chain, 2, 1), (chain, 2, 2), (a.randn(11, 5), 3, 4), (a.randn(7, 3), 2, 3)])


def route_gradient(a: Asker) -> Finding | None:
    logits = crafted(a, [[1, 0], [0, 1], [1, 2], [2, 1], [0, 2]], 3)
    for k, capacity in ((1, None), (2, None), (2, 2)):
        given = (logits, k) if capacity is None else (logits, k, capacity)
        weigh = a.randn(1).expand(5, k) if k == 1 else a.randn(5, 1) * a.tensor([1.0, -2.0])
        found = a.grads("route", *given, weigh=weigh)["inputs"].get("0.0")
        leaf = logits.clone().requires_grad_(True)
        weights, chosen = route(leaf, k, capacity)
        # The same weighing of the columns, whichever order the learner's have.
        order = a.calls[-1].answer["value"]["value"][1]
        same = order.long()[:, :, None] == chosen[:, None, :]
        right = torch.autograd.grad((weights[:, None, :] * same * weigh[:, :, None]).sum(), leaf)[0]
        if found is None:
            return a.found("no gradient reaches the logits: the router would never learn")
        wrong = a.same(found, right, f"the gradient for the logits with k = {k}, capacity = {capacity}")
        if wrong:
            return wrong
    return None


def mixture(a: Asker, sizes: tuple[int, int, int, int]) -> tuple[Remote, list[MixtureOfExperts]]:
    """The learner's mixture and ours, with GELU exact and tanh, all of the same weights."""
    width, hidden, count, _ = sizes
    module = a.build("MixtureOfExperts", *sizes)
    weights = {"router.weight": 1.5 * a.randn(count, width) / width**0.5}
    for number in range(count):
        weights[f"experts.{number}.up.weight"] = a.randn(hidden, width) / width**0.5
        weights[f"experts.{number}.down.weight"] = a.randn(width, hidden) / hidden**0.5
    module.load(weights)
    ours = [MixtureOfExperts(*sizes).to(a.dtype) for _ in range(2)]
    for each in ours:
        each.load_state_dict(weights)
    for expert in ours[1].experts:
        expert.forward = lambda x, own=expert: own.down(F.gelu(own.up(x), approximate="tanh"))
    return module, ours


def as_either(a: Asker, got: Any, rights: list[Tensor], what: str, steps: Any = None) -> Finding | None:
    """Right if it is one of them: GELU exact or tanh."""
    found = [a.same(got, right.detach(), what, steps=steps) for right in rights]
    return None if None in found else found[0]


def way(ours: MixtureOfExperts, x: Tensor) -> dict[str, Tensor]:
    """What arises on the way."""
    tokens = x.flatten(0, -2)
    logits = ours.router(tokens)
    weights, chosen = route(logits, ours.k)
    found = {"router(x)": logits, "its softmax": logits.softmax(-1), "the weights of the chosen": weights}
    first = ours.experts[int(chosen.flatten()[0])]
    return {name: t.detach() for name, t in found.items()} | {
        "one expert's output": first(tokens[(chosen == chosen.flatten()[0]).any(-1)]).detach()
    }


def moe(a: Asker, sizes: tuple[int, int, int, int], shapes: list[tuple[int, ...]]) -> Finding | None:
    """The mixture on inputs of these shapes."""
    if sizes[3] == 1:
        # Not judged here: with two experts a token, misconceptions part that are one with one.
        mixture(a, (5, 7, 3, 2))[0](a.randn(2, 3, 5))
    module, ours = mixture(a, sizes)
    asked = [a.randn(*shape, sizes[0]) for shape in shapes]
    given = [module(x) for x in asked]
    for got, x in zip(given, asked, strict=True):
        said = f"the output for x {list(x.shape)} with {sizes[2]} experts and k = {sizes[3]}"
        wrong = as_either(a, got, [each(x) for each in ours], said, steps=lambda: way(ours[0], x))  # noqa: B023
        if wrong:
            return wrong
    return None


def moe_one(a: Asker) -> Finding | None:
    return moe(a, (5, 11, 3, 1), [(2, 7), (3, 2)])


def moe_several(a: Asker) -> Finding | None:
    return moe(a, (7, 5, 5, 2), [(2, 3), (3, 5)]) or moe(a, (5, 2, 3, 3), [(2, 3)])


def few_tokens(a: Asker) -> Finding | None:
    return moe(a, (5, 7, 8, 1), [(1, 1), (1, 2), (3, 1), (1, 3)]) or moe(a, (5, 7, 8, 2), [(1, 1), (2, 2)])


def crowded(a: Asker) -> Finding | None:
    """Nearly all tokens to one expert, of seven: a share that an expert with a capacity would not take."""
    sizes = (5, 3, 7, 1)
    module, ours = mixture(a, sizes)
    weights = ours[0].state_dict() | {"router.weight": torch.cat([a.tensor([[3.0, 0, 0, 0, 0]]), 0.1 * a.randn(6, 5)])}
    module.load(weights)
    for each in ours:
        each.load_state_dict(weights)
    x = torch.cat([1 + a.rand(1, 29, 1), a.randn(1, 29, 4)], -1)
    said = "the output where one expert of 7 is chosen by all of 29 tokens (no capacity here)"
    return as_either(a, module(x), [each(x) for each in ours], said)


def moe_gradient(a: Asker) -> Finding | None:
    for k in (1, 2):
        module, ours = mixture(a, (5, 7, 3, k))
        x, weigh = a.randn(2, 11, 5), a.randn(2, 11, 5)
        found = module.grads(x, weigh=weigh)
        got = found["inputs"].get("0.0")
        if got is None:
            return a.found("no gradient reaches x")
        rights = []
        for each in ours:
            leaf = x.clone().requires_grad_(True)
            rights.append(torch.autograd.grad((each(leaf) * weigh).sum(), leaf)[0])
        wrong = as_either(a, got, rights, f"the gradient for x with k = {k} (through experts and router)")
        if wrong:
            return wrong
        idle = [name for name, g in found["parameters"].items() if g is None or not bool((g.abs() > 0).any())]
        if idle:
            return a.found(f"no gradient reaches {', '.join(idle)}")
    return None


def choices(a: Asker, tokens: int, experts: int, k: int) -> Tensor:
    """Random choices, k different ones a token."""
    return a.rand(tokens, experts).topk(k, dim=-1).indices


def balance(a: Asker) -> Finding | None:
    asked = []
    for tokens, experts, k in ((11, 5, 1), (7, 3, 1)):
        asked.append((a.randn(tokens, experts).softmax(-1), choices(a, tokens, experts, k)))
    # The last experts are never chosen.
    asked.append((a.randn(7, 5).softmax(-1), choices(a, 7, 3, 1)))
    # Not judged here: it parts a loss that counts from one that adds up.
    a.call("load_balancing_loss", a.randn(5, 3).softmax(-1), choices(a, 5, 3, 2))
    return losses(a, asked)


def losses(a: Asker, asked: list[tuple[Tensor, Tensor]]) -> Finding | None:
    """Several losses, all asked before any is judged."""
    given = [a.call("load_balancing_loss", p, chosen) for p, chosen in asked]
    for got, (p, chosen) in zip(given, asked, strict=True):
        said = f"the loss for {list(p.shape)} probabilities and k = {chosen.shape[1]}"
        # A share that was taken in float32 is right too.
        wrong = a.same(got, load_balancing_loss(p, chosen), said, tolerance=1e-6 if a.dtype == torch.float64 else None)
        if wrong:
            return wrong
    return None


def balance_several(a: Asker) -> Finding | None:
    asked = [(a.randn(n, e).softmax(-1), choices(a, n, e, k)) for n, e, k in ((11, 5, 2), (7, 5, 3))]
    even = torch.tensor([[0, 1], [1, 2], [2, 0]])
    return losses(a, [*asked, (torch.full((3, 3), 1 / 3, dtype=a.dtype), even)])


def balance_gradient(a: Asker) -> Finding | None:
    p, chosen = a.randn(7, 5).softmax(-1), choices(a, 7, 5, 2)
    found = a.grads("load_balancing_loss", p, chosen)["inputs"].get("0.0")
    leaf = p.clone().requires_grad_(True)
    right = torch.autograd.grad(load_balancing_loss(leaf, chosen), leaf)[0]
    if found is None:
        return a.found("no gradient reaches the probabilities: the router could not learn from it")
    return a.same(
        found, right, "the gradient for the probabilities", tolerance=1e-6 if a.dtype == torch.float64 else None
    )


def float32(a: Asker) -> Finding | None:
    logits = a.randn(7, 5).float()
    module = a.build("MixtureOfExperts", 5, 7, 3, 2)
    module.ask("mode", dtype="float32")
    got = module(a.randn(2, 3, 5).float())
    if not isinstance(got, Tensor) or got.dtype != torch.float32:
        return a.found("in float32 the output must be float32")
    wrong = compared(a, [(logits, 2, 3), (logits, 1, None)], " in float32")
    p, chosen = logits.softmax(-1), choices(a, 7, 5, 2)
    return wrong or a.same(
        a.call("load_balancing_loss", p, chosen), load_balancing_loss(p, chosen), "the loss in float32"
    )
