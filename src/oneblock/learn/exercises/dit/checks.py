"""What patches and modulation must do; the block is in `block.py`."""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, Failed, Raised, describe
from oneblock.learn.exercise import Finding
from oneblock.learn.exercises.dit.reference import modulate, patchify

IMAGES = ((1, 3, 8, 2, 2), (2, 3, 4, 6, 2), (2, 1, 6, 9, 3), (2, 5, 3, 2, 1), (3, 2, 4, 4, 2))
"""Batch, channels, height, width, patch."""


def numbered(a: Asker, *shape: int) -> Tensor:
    """An image in which each number stands once."""
    count = int(torch.tensor(shape).prod())
    return torch.randperm(count, generator=a.generator).to(a.dtype).reshape(shape)


def order_of(a: Asker, got: object, right: Tensor, what: str) -> list[int]:
    """In which order a square's numbers stand in the learner's tokens; a finding where they are others, or change."""
    if not isinstance(got, Tensor):
        raise Failed(a.found(f"{what} is {describe(got)}; a tensor is asked"))
    if got.shape != right.shape or got.dtype != right.dtype:
        found = a.same(got, right, what)
        raise Failed(found or a.found(what))
    found = a.same(got.sort(-1).values, right.sort(-1).values, f"{what}: the numbers of each square, sorted,")
    if found:
        raise Failed(Finding(message=found.message, asked=a.origin.get(id(got))))
    # Every number stands once, so each has one place.
    places = (got[..., :, None] == right[..., None, :]).long().argmax(-1)
    first: list[int] = places[0, 0].tolist()
    if not bool((places == places[0, 0]).all()):
        raise Failed(a.found(f"{what}: the numbers of a square stand in another order in another square", about=got))
    return first


def patches(a: Asker) -> Finding | None:
    images = [(numbered(a, *sizes), patch) for *sizes, patch in IMAGES]
    given = [a.call("patchify", x, patch) for x, patch in images]
    with contextlib.suppress(Raised):
        # Not judged here: it parts those who are wrong on the way in alone.
        a.call("unpatchify", a.randn(1, 6, 12), 2, 4, 6)
    orders: dict[tuple[int, int], list[int]] = {}
    for got, (x, patch) in zip(given, images, strict=True):
        what = f"patchify of {list(x.shape)}, patch {patch}"
        order = order_of(a, got, patchify(x, patch), what)
        if orders.setdefault((x.shape[1], patch), order) != order:
            return a.found(f"{what}: the numbers of a square stand in another order than in another image", about=got)
    return None


def round_trip(a: Asker) -> Finding | None:
    asked = [(a.randn(*sizes), patch) for *sizes, patch in IMAGES]
    for x, patch in asked:
        tokens = a.call("patchify", x, patch)
        sides = tuple(x.shape[2:])
        answers = {"": a.call("unpatchify", tokens, patch, *sides)}
        answers[" by name"] = a.call("unpatchify", tokens, patch, height=sides[0], width=sides[1])
        if sides[0] == sides[1]:
            answers[" without sides"] = a.call("unpatchify", tokens, patch)
        for told, got in answers.items():
            found = a.same(
                got, x, f"unpatchify(patchify(x)) for x {list(x.shape)}, patch {patch}, sides{told or ' given'}"
            )
            if found:
                return found
    return None


def there_again(a: Asker) -> Finding | None:
    for tokens, patch, sides in ((a.randn(2, 6, 12), 2, (4, 6)), (a.randn(1, 9, 8), 2, (6, 6))):
        image = a.call("unpatchify", tokens, patch, *sides)
        found = a.same(a.call("patchify", image, patch), tokens, "patchify(unpatchify(tokens))")
        if found:
            return found
    return None


def divides(a: Asker) -> Finding | None:
    for shape in ((1, 1, 5, 4), (1, 1, 4, 5)):
        found = a.raises("patchify", a.randn(*shape), 2)
        if found:
            return found
    return None


def patch_gradient(a: Asker) -> Finding | None:
    x, weigh = a.randn(2, 3, 4, 6), a.randn(2, 6, 12)
    found = a.grads("patchify", x, 2, weigh=weigh)["inputs"].get("0.0")
    if found is None:
        return a.found("no gradient reaches the images")
    right = a.call("unpatchify", weigh, 2, 4, 6)
    return a.same(found, right, "the gradient for the images")


def modulation(a: Asker) -> Finding | None:
    asked = [
        (a.randn(b, t, d), a.randn(b, d), a.randn(b, d)) for b, t, d in ((2, 5, 3), (3, 3, 7), (5, 5, 5), (1, 2, 3))
    ]
    given = [a.call("modulate", *each) for each in asked]
    for got, each in zip(given, asked, strict=True):
        way = lambda each=each: {"1 + scale": 1 + each[2], "x (1 + scale)": each[0] * (1 + each[2][:, None])}  # noqa: E731
        found = a.same(got, modulate(*each), f"modulate of x {list(each[0].shape)}", steps=way)
        if found:
            return found
    return None


def modulation_gradient(a: Asker) -> Finding | None:
    given, weigh = (a.randn(2, 5, 3), a.randn(2, 3), a.randn(2, 3)), a.randn(2, 5, 3)
    found = a.grads("modulate", *given, weigh=weigh)["inputs"]
    leaves = [t.clone().requires_grad_(True) for t in given]
    right = torch.autograd.grad((modulate(*leaves) * weigh).sum(), leaves)
    for place, name, expected in zip(("0.0", "0.1", "0.2"), ("x", "shift", "scale"), right, strict=True):
        if found.get(place) is None:
            return a.found(f"no gradient reaches {name}")
        wrong = a.same(found[place], expected, f"the gradient for {name}")
        if wrong:
            return wrong
    return None
