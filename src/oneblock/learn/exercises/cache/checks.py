"""What attention with a cache must do: in whatever chunks a text comes, the answers in a row are those of all of it."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, Failed, Remote, describe
from oneblock.learn.child.wire import Handle
from oneblock.learn.exercise import Check, Finding


class Text:
    """A right answer and the learner's module under the same weights."""

    def __init__(self, a: Asker, heads: int, groups: int, head_width: int) -> None:
        width = heads * head_width
        self.a, self.heads, self.groups = a, heads, groups
        self.qkv = a.randn((heads + 2 * groups) * head_width, width) / math.sqrt(head_width)
        self.out = a.randn(width, width) / math.sqrt(width)
        self.width = width
        self.module: Remote = a.build("MultiHeadAttention", width, heads, groups)
        self.module.load({"qkv.weight": self.qkv, "output.weight": self.out})

    def right(self, x: Tensor) -> Tensor:
        """Causal attention over all of it at once."""
        head = self.width // self.heads
        sizes = [self.width, self.groups * head, self.groups * head]
        q, k, v = (part.unflatten(-1, (-1, head)).transpose(1, 2) for part in (x @ self.qkv.T).split(sizes, -1))
        of = [head // (self.heads // self.groups) for head in range(self.heads)]
        scores = q @ k[:, of].transpose(-2, -1) / math.sqrt(head)
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        mixed = scores.masked_fill(later, -math.inf).softmax(-1) @ v[:, of]
        return mixed.transpose(1, 2).flatten(2) @ self.out.T

    def step(self, x: Tensor, cache: Any, position: int) -> tuple[Any, Any]:
        """The learner's answer to one chunk: (output, cache)."""
        return step(self.a, self.module, x, cache, position)

    def chunks(self, x: Tensor, sizes: tuple[int, ...]) -> list[tuple[Any, Tensor, str]]:
        """Each chunk's output, the right one, and words for it."""
        whole, cache, at, found = self.right(x), None, 0, []
        for size in sizes:
            output, cache = self.step(x[:, at : at + size], cache, at)
            said = f"{size} token{'s' * (size > 1)}" + (f" after {at}" if at else " without a cache")
            found.append((output, whole[:, at : at + size], f"the output for {said}"))
            at += size
        return found

    def judged(self, *answers: tuple[Any, Tensor, str]) -> Finding | None:
        """The first that is not right."""
        return next((found for got, right, what in answers if (found := self.a.same(got, right, what))), None)


def step(a: Asker, module: Remote, x: Tensor, cache: Any, position: int) -> tuple[Any, Any]:
    """(output, cache) of one chunk, or a finding that it is not that."""
    got = a.call("attend_with_cache", module.handle, x, cache, position, keep=(1,))
    if not isinstance(got, tuple | list) or len(got) != 2:
        raise Failed(a.found(f"attend_with_cache gives {describe(got)}; (output, cache) is asked"))
    return got[0], got[1]


def first(a: Asker) -> Finding | None:
    answers = []
    for heads, head_width, batch, time in ((3, 5, 2, 7), (2, 7, 1, 5), (5, 2, 3, 1)):
        text = Text(a, heads, heads, head_width)
        answers += text.chunks(a.randn(batch, time, text.width), (time,))
    return text.judged(*answers)


def one_by_one(a: Asker) -> Finding | None:
    text = Text(a, 3, 3, 5)
    return text.judged(*text.chunks(a.randn(2, 4, 15), (1, 1, 1, 1)), *text.chunks(a.randn(3, 5, 15), (3, 1, 1)))


def chunks(a: Asker) -> Finding | None:
    text = Text(a, 2, 2, 7)
    return text.judged(*text.chunks(a.randn(3, 10, 14), (2, 3, 5)), *text.chunks(a.randn(1, 9, 14), (5, 3, 1)))


def groups(a: Asker) -> Finding | None:
    answers = []
    for heads, shared in ((6, 3), (6, 2), (4, 1)):
        text = Text(a, heads, shared, 3)
        answers += text.chunks(a.randn(2, 7, text.width), (3, 1, 2, 1))
    return text.judged(*answers)


def long(a: Asker) -> Finding | None:
    # Heads of an even width too: some turn those by their places.
    text = Text(a, 2, 2, 4)
    return text.judged(*text.chunks(a.randn(2, 131, 8), (17, 1, 1, 13, *(1,) * 9, 71, 1, 17, 1)))


def anew(a: Asker) -> Finding | None:
    text = Text(a, 3, 3, 5)
    one, two = a.randn(2, 6, 15), a.randn(2, 7, 15)
    before = text.chunks(one, (4, 2))
    after = text.chunks(two, (3, 4))
    found = text.judged(*before, *after)
    if found:
        return a.found(f"{found.message}: a text that begins with None is mixed with the one before it")
    right_one, right_two = text.right(one), text.right(two)
    first_one, cache_one = text.step(one[:, :2], None, 0)
    first_two, cache_two = text.step(two[:, :3], None, 0)
    then_one, _ = text.step(one[:, 2:], cache_one, 2)
    then_two, _ = text.step(two[:, 3:], cache_two, 3)
    found = text.judged(
        (first_one, right_one[:, :2], "the first chunk"),
        (first_two, right_two[:, :3], "the first chunk of another text"),
        (then_one, right_one[:, 2:], "the next chunk of the first text"),
        (then_two, right_two[:, 3:], "the next chunk of the other"),
    )
    return a.found(f"{found.message}: two texts take turns, each with its own cache") if found else None


def fork(a: Asker) -> Finding | None:
    text = Text(a, 2, 2, 5)
    start, one, two = a.randn(2, 3, 10), a.randn(2, 2, 10), a.randn(2, 4, 10)
    _, cache = text.step(start, None, 0)
    if not isinstance(cache, Handle):
        return a.found("no cache comes back")
    ways = []
    for way in (one, two):
        got, _ = text.step(way, cache, 3)
        ways.append((got, text.right(torch.cat([start, way], 1))[:, 3:], "the output"))
    found = text.judged(*ways)
    return (
        a.found(f"{found.message}: from one cache it goes on in two ways; the one given has changed") if found else None
    )


CHECKS = (
    Check(
        id="first",
        run=first,
        hints=(
            "Without a cache it is causal attention: the same numbers as a pass of exercise 4 under a causal mask.",
            "Look at the split into q, k, v and heads, at √K, at the mask, and at the way back to B×T×D.",
            "q, k, v = split qkv(x); heads to axis 1; softmax(q kᵀ / √K, later keys −∞) v; heads back; output layer",
        ),
    ),
    Check(
        id="one_by_one",
        run=one_by_one,
        needs=("first",),
        hints=(
            "One token at a time gives what all of them at once give.",
            "Look at what is joined: old keys and values, then the new ones, along time; and what is kept.",
            "k = cat(cached k, k) along time; v alike; keep both; a single query attends to all of them",
        ),
    ),
    Check(
        id="chunks",
        run=chunks,
        needs=("one_by_one",),
        hints=(
            "Several new tokens after a cache do not see one another's future.",
            "Look at the mask where there is a cache: T rows, position + T columns.",
            "key j may be seen by new token i where j <= position + i",
        ),
    ),
    Check(
        id="groups",
        run=groups,
        needs=("chunks",),
        hints=(
            "With fewer heads of keys than of queries, head i uses group i // (H / G), cached or not.",
            "Look at how G heads of keys become H: each one H / G times in a row.",
            "k.repeat_interleave(H // G, dim = axis of heads)",
        ),
    ),
    Check(
        id="long",
        run=long,
        needs=("chunks",),
        hints=(
            "It also holds for 131 tokens, and for heads of an even width.",
            "Look for a size that is fixed.",
            "the cache grows by T with each call",
        ),
    ),
    Check(
        id="anew",
        run=anew,
        needs=("chunks",),
        hints=(
            "None begins a new text; two texts can take turns.",
            "Look for keys that are kept on the module or in a global name.",
            "everything that is kept is in what you return",
        ),
    ),
    Check(
        id="fork",
        run=fork,
        needs=("chunks", "anew"),
        hints=(
            "The cache that comes in is as good afterwards as before.",
            "Look for append, or for keys put into the dict or list that you were given.",
            "return a new tuple, list or dict; leave the old one alone",
        ),
    ),
)
