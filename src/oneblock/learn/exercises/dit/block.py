"""What the block must do. Its insides are the learner's: it is asked through its modulation, which is set by hand."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneblock.learn.asker import Asker, Failed, Raised, Remote, describe
from oneblock.learn.exercise import Finding
from oneblock.learn.exercises.dit.reference import DiTBlock

D, HEADS, B, T = 8, 2, 3, 5
PARTS = ("shift1", "scale1", "gate1", "shift2", "scale2", "gate2")


class Block:
    """A block of the learner's whose weights are random and whose modulation is set to what is asked."""

    def __init__(self, a: Asker) -> None:
        self.a, self.module = a, a.build("DiTBlock", D, HEADS)
        self.fresh = self.module.weights()
        self.names = modulation_of(a, self.module, self.fresh)
        others = {name: t for name, t in self.fresh.items() if name not in self.names and t.dim() > 1}
        self.given = {name: 1.5 * a.randn(*t.shape) / D**0.5 for name, t in others.items()}
        self.module.ask("load", theirs=True, weights=self.given)

    def set(self, weight: Tensor | None = None, **parts: Any) -> None:
        """The modulation: its weight (else 0), and a bias by its parts (else 0)."""
        zero = torch.zeros(D, dtype=self.a.dtype)
        bias = torch.cat([zero + parts.get(name, 0.0) for name in PARTS])
        weight = torch.zeros(6 * D, D, dtype=self.a.dtype) if weight is None else weight
        theirs = self.names[0] in self.fresh
        self.module.ask("load", theirs=theirs, weights=dict(zip(self.names, (weight, bias), strict=True)))

    def __call__(self, x: Tensor, **parts: Any) -> Tensor:
        """The output under a modulation of these parts, whatever the condition is."""
        self.set(**parts)
        return self.under(x, self.a.randn(len(x), D))

    def under(self, x: Tensor, c: Tensor) -> Tensor:
        """The output as the modulation stands; a finding where it is no finite tensor like x."""
        got = self.module(x, c)
        if not isinstance(got, Tensor) or got.shape != x.shape or got.dtype != x.dtype:
            said = f"{describe(got)} of {str(got.dtype)[6:]}" if isinstance(got, Tensor) else describe(got)
            raise Failed(self.a.found(f"DiTBlock gives {said}; a tensor like x {list(x.shape)} is asked"))
        if not bool(torch.isfinite(got).all()):
            raise Failed(self.a.found("DiTBlock gives numbers that are not finite"))
        return got


def modulation_of(a: Asker, module: Remote, weights: dict[str, Tensor]) -> tuple[str, str]:
    """The names of modulation's weight and bias: ours, by way of the learner's mapping, or theirs, by their shapes."""
    zero = torch.zeros(6 * D, D, dtype=a.dtype)
    # Put there what is there, by our names: this tells whether they have a place.
    own = {name.rpartition(".")[2]: name for name, t in weights.items() if tuple(t.shape) in ((6 * D, D), (6 * D,))}
    if set(own) >= {"weight", "bias"}:
        return own["weight"], own["bias"]
    found = module.ask("load", weights={"modulation.weight": zero, "modulation.bias": zero[:, 0]})
    if not found["missing"] and not found["shapes"]:
        return "modulation.weight", "modulation.bias"
    there = ", ".join(f"{name} {list(t.shape)}" for name, t in weights.items()) or "none"
    raise Failed(
        a.found(f"DiTBlock has no linear layer D→6·D with a bias, modulation; its parameters (D = {D}): {there}")
    )


def starts(a: Asker) -> Finding | None:
    module = a.build("DiTBlock", D, HEADS)
    x, c = a.randn(B, T, D), a.randn(B, D)
    got = module(x, c)
    with contextlib.suppress(Raised, Failed):
        # Not judged here: gates that are not shut part the ways in which a fresh block can be wrong.
        Block(a)(x, shift1=0.5, gate1=0.7, gate2=0.3)
    fresh = module.weights()
    weight, bias = modulation_of(a, module, fresh)
    found = a.same(got, x, "a fresh block's output, held against x,")
    if found:
        return found
    for name in (weight, bias):
        if name in fresh and bool((fresh[name] != 0).any()):
            return a.found(f"{name} is not 0 at first")
    return None


def inventory(a: Asker) -> Finding | None:
    block = Block(a)
    block(a.randn(B, T, D), gate1=1.0, gate2=1.0)
    for name, tensor in block.fresh.items():
        # A gain that is frozen at 1 is none.
        if tensor.dim() == 1 and tuple(tensor.shape) != (6 * D,) and block.module.get(f"{name}.requires_grad"):
            return a.found(f"{name} {list(tensor.shape)} is a bias or a gain; only modulation has one, norms have none")
    shapes = {tuple(t.shape) for t in block.fresh.values()}
    if not {(4 * D, D), (D, 4 * D)} <= shapes:
        return a.found(f"the feed-forward has no layers of 4 × width: for width {D} there are {sorted(shapes)}")
    return None


def gates(a: Asker) -> Finding | None:
    block, x = Block(a), a.randn(B, T, D)
    free = {name: a.randn(D) for name in ("shift1", "scale1", "shift2", "scale2")}
    shut = block(x, **free)
    opened = {name: block(x, **free, **{name: 1.0}) for name in ("gate1", "gate2")}
    wide = {name: a.randn(D) for name in opened}
    partly = {name: block(x, **free, **{name: wide[name]}) for name in opened}
    # Which of the six parts does what is seen from each of them alone.
    for name in PARTS:
        block(x, **{name: 1.0}, **({} if "gate" in name else {f"gate{name[-1]}": 0.7}))
    found = a.same(shut, x, "the output with both gates 0, whatever shift and scale are,")
    if found:
        return Finding(message=found.message)
    for name in opened:
        if float((opened[name] - x).abs().max()) < 1e-5:
            return a.found(f"{name} = 1 changes nothing: which of the six parts is it?", about=opened[name])
        found = a.same(partly[name] - x, wide[name] * (opened[name] - x), f"what a {name} other than 1 adds to x")
        if found:
            return Finding(message=found.message)
    return None


def first_branch(a: Asker) -> Finding | None:
    block, x = Block(a), a.randn(B, T, D)
    plain = block(x, gate1=1.0)
    far = {}
    for place in (0, T - 1):
        moved = x.clone()
        moved[:, place] += a.randn(B, D)
        far[place] = block(moved, gate1=1.0)
    turned = block(x[:, [3, 0, 4, 1, 2]], gate1=1.0)
    for place, seen in ((T - 1, 0), (0, T - 1)):
        if float((far[place] - plain)[:, seen].abs().max()) < 1e-5:
            return a.found(
                f"with gate1 open, token {seen} does not depend on token {place}: attention sees all, both ways"
            )
    return a.same(turned, plain[:, [3, 0, 4, 1, 2]], "the block on tokens in another order (attention has no mask)")


def second_branch(a: Asker) -> Finding | None:
    block, x = Block(a), a.randn(B, T, D)
    shift, scale, gate = a.randn(D), a.randn(D), a.randn(D)
    plain = block(x, gate2=1.0)
    got = block(x, shift2=shift, scale2=scale, gate2=gate)
    for given, (b, s, g) in ((plain, (0.0, 0.0, 1.0)), (got, (shift, scale, gate))):
        normed = F.layer_norm(x, (D,), eps=1e-6) * (1 + s) + b
        rights = [x + g * feed_forward(normed) for feed_forward in forwards(block)]
        found = [a.same(given, right, "the output with gate1 = 0: x + gate2 · feed_forward(…)") for right in rights]
        if None not in found:
            return found[0]
    return None


def forwards(block: Block) -> list[Callable[[Tensor], Tensor]]:
    """The feed-forward by the shapes of its weights: as nn.Linear or turned, GELU exact or tanh."""
    one = next(t for t in block.given.values() if tuple(t.shape) == (4 * D, D))
    two = next(t for t in block.given.values() if tuple(t.shape) == (D, 4 * D))

    def forward(up: Tensor, down: Tensor, kind: str, h: Tensor) -> Tensor:
        return F.gelu(h @ up.T, approximate=kind) @ down.T

    pairs = ((one, two), (two.T, one.T))
    return [functools.partial(forward, *pair, kind) for pair in pairs for kind in ("none", "tanh")]


def modulated(a: Asker) -> Finding | None:
    block = Block(a)
    x, y, shift = a.randn(B, T, D), a.randn(B, T, D), a.randn(D)
    for at in ("1", "2"):
        parts = {f"gate{at}": 1.0, f"scale{at}": -1.0, f"shift{at}": shift}
        one, two = block(x, **parts) - x, block(y, **parts) - y
        zero = block(x, **parts | {f"shift{at}": 0.0}) - x
        found = a.same(two, one, f"what scale{at} = −1 leaves of x after the norm (nothing: x · (1 + scale) + shift)")
        if found:
            return Finding(message=found.message)
        found = a.same(
            zero, torch.zeros_like(x), f"branch {at} with scale −1 and shift 0, which has nothing to work on,"
        )
        if found:
            return Finding(message=found.message)
        if float(one.abs().max()) < 1e-5:
            return a.found(f"shift{at} has no effect")
    return None


def norms(a: Asker) -> Finding | None:
    block = Block(a)
    x = a.randn(B, T, D)
    x = F.layer_norm(x, (D,), eps=0.0)
    loose = a.dtype == torch.float32
    for at in ("1", "2"):
        small = block(1e-3 * x, **{f"gate{at}": 1.0}) - 1e-3 * x
        # Of variance 1e-6, which is eps: half of what is under the root is eps.
        large = block(30 * x + 7, **{f"gate{at}": 1.0, f"scale{at}": math.sqrt(0.5) - 1}) - (30 * x + 7)
        found = a.same(small, large, f"branch {at} of tokens of variance 1e-6, against 1/√2 of large ones (eps 1e-6),",
                       tolerance=1e-3 if loose else 1e-7)  # fmt: skip
        if found:
            return Finding(message=found.message)
    return None


def amounts(a: Asker) -> Finding | None:
    block, shift = Block(a), a.randn(D)
    for at in ("1", "2"):
        # Tokens that are all alike have one norm, n: what is made of it can be given by the shift alone.
        same, scale = a.randn(1, 1, D).expand(1, T, D).clone(), 2 * a.randn(D)
        n = F.layer_norm(same[0, 0], (D,), eps=1e-6)
        got = block(same, **{f"gate{at}": 1.0, f"scale{at}": scale, f"shift{at}": shift})
        right = block(same, **{f"gate{at}": 1.0, f"scale{at}": -1.0, f"shift{at}": n * (1 + scale) + shift})
        found = a.same(
            got, right, f"what branch {at} makes of n · (1 + scale) + shift, given by scale and by shift alone,"
        )
        if found:
            return Finding(message=found.message)
    return None


def order(a: Asker) -> Finding | None:
    block, x = Block(a), a.randn(B, T, D)
    one = {"shift1": a.randn(D), "scale1": a.randn(D), "gate1": a.randn(D)}
    two = {"shift2": a.randn(D), "scale2": a.randn(D), "gate2": a.randn(D)}
    both = block(x, **one, **two)
    found = a.same(both, block(block(x, **one), **two), "the whole, against attention first and feed-forward after it,")
    return Finding(message=found.message) if found else None


def attention(a: Asker) -> Finding | None:
    ours = DiTBlock(D, HEADS).to(a.dtype)
    block = Block(a)
    weights = {
        "attention.qkv.weight": 2 * a.randn(3 * D, D) / D**0.5,
        "attention.output.weight": a.randn(D, D) / D**0.5,
    }
    told = block.module.ask("load", weights=weights)
    for x in (a.randn(B, T, D), a.randn(1, 131, D)):
        got = block(x, gate1=1.0)
        if told["missing"] or told["shapes"]:
            # Other names: what is inside was exercise 4, and the properties have been seen.
            return None
        with torch.no_grad():
            ours.load_state_dict(weights, strict=False)
            right = x + ours.attention(F.layer_norm(x, (D,), eps=1e-6))
        found = a.same(got, right, f"the output for {x.shape[1]} patches, gate2 = 0: x + gate1 · attention(…)")
        if found:
            return Finding(message=found.message, asked=a.origin.get(id(got)))
    return None


def condition(a: Asker) -> Finding | None:
    block, x, c = Block(a), a.randn(B, T, D), a.randn(B, D)
    weight = 0.7 * a.randn(6 * D, D) / D**0.5
    offset = {name: 0.5 * a.randn(D) for name in PARTS}
    block.set(weight, **offset)
    got = block.under(x, c)
    for at in range(B):
        made = (weight @ F.silu(c[at])).split(D)
        parts = {name: offset[name] + made[i] for i, name in enumerate(PARTS)}
        right = block(x[at : at + 1], **parts)[0]
        found = a.same(got[at], right, f"image {at} under a condition of its own: silu(c) first")
        if found:
            return Finding(message=found.message)
    return None


def heads(a: Asker) -> Finding | None:
    return a.raises("DiTBlock", 7, 2)


def learns(a: Asker) -> Finding | None:
    module = a.build("DiTBlock", D, HEADS)
    x, c, weigh = a.randn(B, T, D), a.randn(B, D), a.randn(B, T, D)
    fresh = module.grads(x, c, weigh=weigh)
    weight, _ = modulation_of(a, module, module.weights())
    first = fresh["parameters"].get(weight)
    if weight in fresh["parameters"] and (first is None or not bool((first.abs() > 0).any())):
        return a.found("no gradient reaches the modulation of a fresh block: it would never open")
    block = Block(a)
    block.set(0.5 * a.randn(6 * D, D), **{name: a.randn(D) for name in PARTS})
    found = block.module.grads(x, c, weigh=weigh)
    idle = [name for name, g in found["parameters"].items() if g is None or not bool((g.abs() > 0).any())]
    if idle:
        return a.found(f"no gradient reaches {', '.join(idle)}: is it used?")
    for at, name in enumerate(("x", "c")):
        gradient = found["inputs"].get(f"0.{at}")
        if gradient is None:
            return a.found(f"no gradient reaches {name}")
        if a.dtype == torch.float64:
            # How much the output changes along one direction, by the gradient and by trying.
            way, little = a.randn(*(x, c)[at].shape), 1e-5
            moved = [(x + e * way, c) if at == 0 else (x, c + e * way) for e in (little, -little)]
            up, down = (block.under(*each) for each in moved)
            tried = ((up - down) * weigh).sum() / (2 * little)
            wrong = a.same((gradient * way).sum(), tried, f"the gradient for {name} in one direction", tolerance=1e-5)
            if wrong:
                return Finding(message=wrong.message)
    return None
