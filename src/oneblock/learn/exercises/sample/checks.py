"""What sampling must do: frequencies are held against the right shares, never a seed against a seed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, Failed, describe
from oneblock.learn.exercise import Check, Finding
from oneblock.learn.exercises.sample.reference import shares

DRAWS = 1200
"""Of each distribution."""
KINDS = 2
"""Rows of different distributions in a batch."""
ERRORS = 6.0
"""Standard errors that a frequency may be off by."""


def ids_of(a: Asker, got: Any, logits: Tensor) -> Tensor:
    """The ids, or a finding that it is none."""
    if not isinstance(got, Tensor):
        raise Failed(a.found(f"sample gives {describe(got)}; a tensor of token ids is asked"))
    if got.shape != logits.shape[:-1]:
        said = f"logits {list(logits.shape)} give {list(logits.shape[:-1])}, one id for each row"
        raise Failed(a.found(f"the ids have shape {list(got.shape)}; {said}", about=got))
    if got.dtype.is_floating_point or got.dtype == torch.bool:
        raise Failed(a.found(f"the ids are {str(got.dtype)[6:]}; whole numbers (int64) are asked", about=got))
    if got.numel() and not 0 <= int(got.min()) <= int(got.max()) < logits.shape[-1]:
        raise Failed(a.found(f"there is an id {int(got.max())}, of {logits.shape[-1]} tokens", about=got))
    return got.long()


Chances = list[float] | tuple[list[float], list[float]]


def some_logits(a: Asker, chances: Chances) -> Tensor:
    """Rows of different kinds: these shares, for each kind in an order and about a mean of its own."""
    kinds = chances if isinstance(chances, tuple) else (chances,) * KINDS
    rows = [a.tensor(kind).log()[torch.randperm(len(kind), generator=a.generator)] + 2 * a.randn(1) for kind in kinds]
    return torch.stack(rows)


def asked(
    a: Asker, chances: Chances, temperature: float, top_k: int | None, top_p: float | None
) -> tuple[Tensor, Any, str]:
    """One question: many rows of each kind."""
    rows = some_logits(a, chances)
    batch = rows.repeat_interleave(DRAWS, 0)
    seed = int(a.randint(0, 10_000, 1))
    got = a.call("sample", batch, temperature, top_k, top_p, a.generator_of(seed), drawn=KINDS)
    settings = f"temperature {temperature:g}, top_k {top_k}, top_p {top_p}"
    right = shares(rows.double(), temperature, top_k, top_p)
    return right, ids_of(a, got, batch), settings


def frequencies(a: Asker, right: Tensor, ids: Tensor, settings: str) -> Finding | None:
    """A finding where a token is drawn that is out, or more or less often than it should be."""
    for share, drawn in zip(right, ids.reshape(KINDS, -1), strict=True):
        count = torch.bincount(drawn, minlength=len(share)).double()
        ranks = share.argsort(descending=True)
        out = [int(token) for token in ranks if share[token] == 0 and count[token] > 0]
        if out:
            kept = int((share > 0).sum())
            return a.found(
                f"with {settings}, {kept} token{'s' * (kept > 1)} may be drawn ({_listed(ranks[:kept])}); "
                f"token {out[0]} came {int(count[out[0]])} times in {DRAWS}"
            )
        error = (DRAWS * share * (1 - share)).sqrt()
        off = (count - DRAWS * share).abs() > ERRORS * error + 1e-9
        if bool(off.any()):
            token = int(torch.where(off, (count / DRAWS - share).abs(), -1.0).argmax())
            return a.found(
                f"with {settings}, token {token} must come in {100 * float(share[token]):.1f} % of draws; "
                f"it came in {100 * float(count[token]) / DRAWS:.1f} %"
            )
    return None


def _listed(ids: Tensor) -> str:
    return ", ".join(str(int(i)) for i in ids)


def drawn(a: Asker, *questions: tuple[Chances, float, int | None, float | None]) -> Finding | None:
    """All questions are asked before one is judged."""
    answers = [asked(a, *question) for question in questions]
    return next((found for answer in answers if (found := frequencies(a, *answer))), None)


FIVE = [0.42, 0.24, 0.17, 0.12, 0.05]
THREE = [0.85, 0.1, 0.05]
SEVEN = [0.33, 0.22, 0.16, 0.12, 0.08, 0.06, 0.03]
STEEP = [0.7, 0.1, 0.06, 0.05, 0.04, 0.03, 0.02]


def greedy(a: Asker) -> Finding | None:
    logits = a.randn(41, 7)
    settings = ((None, None), (3, None), (None, 0.9), (3, 0.7))
    given = [a.call("sample", logits, 0.0, k, p, a.generator_of(1)) for k, p in settings]
    given.append(a.call("sample", logits, 0, None, None, a.generator_of(2)))
    for got in given:
        ids = ids_of(a, got, logits)
        if not torch.equal(ids, logits.argmax(-1)):
            row = int((ids != logits.argmax(-1)).nonzero()[0])
            best, yours = int(logits[row].argmax()), int(ids[row])
            return a.found(f"at temperature 0 the best token comes: in row {row} {best}, yours is {yours}", about=got)
    return None


def shapes(a: Asker) -> Finding | None:
    for shape in ((7,), (1, 5), (3, 11), (2, 1)):
        logits = 3 * a.randn(*shape)
        # Only one token may be drawn.
        for k, p in ((1, None), (None, 1e-6), (1, 1.0)):
            ids = ids_of(a, a.call("sample", logits, 1.0, k, p, a.generator_of(3)), logits)
            if not torch.equal(ids, logits.argmax(-1)):
                return a.found(
                    f"logits {list(shape)} with top_k {k}, top_p {p} leave the best token alone; "
                    f"yours is {ids.tolist()}, the best {logits.argmax(-1).tolist()}"
                )
    return None


def plain(a: Asker) -> Finding | None:
    return drawn(a, (FIVE, 1.0, None, None), (SEVEN, 1.0, None, None), (THREE, 1.0, None, None))


def temperature(a: Asker) -> Finding | None:
    return drawn(a, (FIVE, 0.25, None, None), (FIVE, 1.9, None, None), (FIVE, 4, None, None))


def top_k(a: Asker) -> Finding | None:
    return drawn(a, (SEVEN, 1.0, 3, None), (FIVE, 1.0, 5, None), (SEVEN, 2.0, 2, None))


def top_p(a: Asker) -> Finding | None:
    # Sums: 0.33, 0.55, 0.71, 0.83, 0.91, 0.97, 1.
    one = ((SEVEN, 1.0, None, p) for p in (0.62, 0.3, 0.87, 1.0, 0.05, 0.94))
    # In a batch each row keeps as many as it needs: three, and one.
    return drawn(a, *one, ((SEVEN, STEEP), 1.0, None, 0.62), ((STEEP, SEVEN), 1.0, None, 0.62))


def large(a: Asker) -> Finding | None:
    # All far apart: the best comes.
    ranks = torch.stack([torch.randperm(7, generator=a.generator) for _ in range(5)]).to(a.dtype)
    for logits, heat in ((3000 * ranks - 9000, 1.0), (100 * ranks - 9000, 1.0), (3 * ranks, 0.01)):
        ids = ids_of(a, a.call("sample", logits, heat, None, None, a.generator_of(5)), logits)
        if not torch.equal(ids, logits.argmax(-1)):
            return a.found(
                f"logits from {float(logits.min()):g} to {float(logits.max()):g} at temperature {heat:g} leave the "
                f"best token alone; yours is {ids.tolist()}, the best {logits.argmax(-1).tolist()}"
            )
    return None


def heat_first(a: Asker) -> Finding | None:
    # At temperature 2 the shares are flatter: sums 0.24, 0.44, 0.61, 0.75 …; at 0.5 steeper: 0.52, 0.75, 0.87 ….
    return drawn(a, (SEVEN, 2.0, None, 0.52), (SEVEN, 0.5, None, 0.65))


def both(a: Asker) -> Finding | None:
    # top_k = 3 leaves 0.33, 0.22, 0.16 of 0.71, which are 0.465, 0.310, 0.225: 0.465, 0.775, 1.
    return drawn(a, (SEVEN, 1.0, 3, 0.65), (SEVEN, 1.0, 3, 0.4), (SEVEN, 1.0, 2, 0.57), (SEVEN, 2.0, 4, 0.65))


def generator(a: Asker) -> Finding | None:
    logits = a.randn(1, 11).repeat(61, 1)
    going, going_on = a.generator_of(23, 1), a.generator_of(23, 1)
    first = ids_of(a, a.call("sample", logits, 1.0, None, None, going), logits)
    second = ids_of(a, a.call("sample", logits, 1.0, None, None, going_on), logits)
    other = ids_of(a, a.call("sample", logits, 1.0, None, None, a.generator_of(29)), logits)
    same = ids_of(a, a.call("sample", logits, 1.0, None, None, a.generator_of(23)), logits)
    if not torch.equal(same, first):
        return a.found(
            "two calls with the generator in the same state give different tokens: chance comes from elsewhere"
        )
    if any(call.answer["after"].get("drew") for call in a.calls[-4:]):
        return a.found("it draws from torch's or Python's own chance, which others rely on: generator= everywhere")
    if torch.equal(first, other):
        return a.found("generators that start at different seeds give the same 61 tokens: generator is not used")
    if torch.equal(first, second):
        return a.found("called twice with one generator, it gives the same 61 tokens: the generator must move on")
    return None


CHECKS = (
    Check(
        id="greedy",
        run=greedy,
        hints=(
            "At temperature 0 the token with the largest logit comes, always, whatever the filters say.",
            "Look at what comes before the division by the temperature, and at the shape you return.",
            "if temperature == 0: return logits.argmax(-1)",
        ),
    ),
    Check(
        id="shapes",
        run=shapes,
        needs=("greedy",),
        hints=(
            "Logits B×V give B ids, logits V one id without axes; where one token is left, that one is drawn.",
            "Look at the axis that is drawn along, at what takes it away, and at filters that leave nothing.",
            "torch.multinomial(shares, 1, generator=generator).squeeze(-1), every filter along the last axis",
        ),
    ),
    Check(
        id="plain",
        run=plain,
        needs=("greedy",),
        hints=(
            "Without filters and at temperature 1 each token comes as often as softmax(logits) says, for each row.",
            "Look at the last step: is what you draw an id, and is there chance in it, for every row its own?",
            "draw one id for each row with the chances softmax(logits, -1)",
        ),
    ),
    Check(
        id="temperature",
        run=temperature,
        needs=("plain",),
        hints=(
            "A temperature of 0.5 makes good tokens more frequent, 2 makes frequencies more alike.",
            "Look at where the temperature meets the logits; the shares come after.",
            "logits = logits / temperature, then softmax",
        ),
    ),
    Check(
        id="large",
        run=large,
        needs=("temperature",),
        hints=(
            "Logits in the thousands, or a temperature near 0, still give shares: of 0 and 1.",
            "Look at exp: e to the 1000 is infinite, and where all are e to the -1000 their sum is 0.",
            "torch.softmax, or subtract the largest logit of the row before exp",
        ),
    ),
    Check(
        id="top_k",
        run=top_k,
        needs=("plain",),
        hints=(
            "Exactly the k tokens with the largest logits can be drawn, with shares that add up to 1.",
            "Look at the threshold: the k-th largest logit of each row, kept itself; and at what the others become.",
            "least = the k-th largest of each row; logits = logits, but −∞ where below least",
        ),
    ),
    Check(
        id="top_p",
        run=top_p,
        needs=("plain",),
        hints=(
            "The best tokens are kept up to and with the one at which their sum comes to p.",
            "Look at the sum before a token (not with it), at the direction of the sort, and at the way back to ids.",
            "ranked, ids = shares sorted, largest first; out = ranked.cumsum - ranked >= p; back through ids; −∞ there",
        ),
    ),
    Check(
        id="heat_first",
        run=heat_first,
        needs=("temperature", "top_p"),
        hints=(
            "The shares that top_p adds up are those after the temperature.",
            "Look at which logits the softmax before the cumulative sum is taken of.",
            "divide first; then everything else works on what came of it",
        ),
    ),
    Check(
        id="both",
        run=both,
        needs=("top_k", "top_p"),
        hints=(
            "top_p adds up the shares of the tokens that top_k has kept, and those add up to 1.",
            "Look at the order of the two filters, and at which softmax the second one sees.",
            "logits = top_k applied; shares = softmax(logits) anew; then top_p on those shares",
        ),
    ),
    Check(
        id="generator",
        run=generator,
        needs=("plain",),
        hints=(
            "The generator's state decides everything, and moves on with each call.",
            "Look for random numbers that do not get generator=, and for a seed you set yourself.",
            "pass generator=generator to the one function that draws, and touch it nowhere else",
        ),
    ),
)
