"""What rotary positions, SwiGLU, ALiBi and heads in groups must do."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn

from oneblock.learn.asker import Asker, Raised, Remote, describe
from oneblock.learn.exercise import Finding
from oneblock.learn.exercises.llama.reference import MultiHeadAttention, SwiGLU, rope, slopes

# Tables of sines in float32 are right too, as Llama's own are.
TABLES = 2e-5


def positions_of(a: Asker, *shape: int) -> Tensor:
    """Different places, in no order, none of them 0."""
    count = shape[-1]
    rows = [torch.randperm(20, generator=a.generator)[:count] + 1 for _ in range(shape[0] if len(shape) > 1 else 1)]
    return torch.stack(rows) if len(shape) > 1 else rows[0]


def steps(x: Tensor, positions: Tensor, base: float) -> dict[str, Tensor]:
    """What arises on the way."""
    frequencies = base ** (-torch.arange(0, x.shape[-1], 2, dtype=x.dtype) / x.shape[-1])
    angles = positions[..., None] * frequencies
    return {"base^(−2i/K)": frequencies, "the angles": angles, "their cosines": angles.cos()}


def turned(a: Asker, asked: list[tuple[Tensor, Tensor, float]], style: str, places: bool = False) -> Finding | None:
    """rope on several inputs, all asked before any is judged. places: say them, and allow what float32 does there."""
    given = [a.call("rope", x, positions, base, style) for x, positions, base in asked]
    for got, (x, positions, base) in zip(given, asked, strict=True):
        said = f"rope of x {list(x.shape)}, positions {list(positions.shape)}, base {base:g}, {style!r}"
        most = int(positions.max())
        said += f", places up to {most}" if places else ""
        allowed = max(TABLES, 1e-6 * most) if places else TABLES
        way = lambda x=x, p=positions, base=base: steps(x, p, base)  # noqa: E731
        wrong = a.same(got, rope(x, positions, base, style), said, steps=way, tolerance=allowed)
        if wrong:
            return wrong
    return None


def plain(a: Asker, style: str) -> Finding | None:
    """One row of positions, x with none, one and two axes in front."""
    asked = [(a.randn(3, 7, 8), positions_of(a, 7), 100.0), (a.randn(5, 12), positions_of(a, 5), 31.7)]
    asked += [(a.randn(2, 3, 5, 4), positions_of(a, 5), 10000.0), (a.randn(2, 1, 8), torch.tensor([17]), 50.0)]
    return turned(a, [*asked, (a.randn(3, 5, 2), torch.arange(5), 10.0)], style)


def half(a: Asker) -> Finding | None:
    with contextlib.suppress(Raised):
        # Not judged here: it tells who confuses the two from who has only one.
        a.call("rope", a.randn(3, 8), torch.arange(3), 10.0, "interleaved")
    return plain(a, "half")


def interleaved(a: Asker) -> Finding | None:
    return plain(a, "interleaved")


def rows(a: Asker) -> Finding | None:
    for style in ("half", "interleaved"):
        asked = [(a.randn(3, 5, 8), positions_of(a, 3, 5), 100.0), (a.randn(2, 3, 5, 4), positions_of(a, 2, 5), 20.0)]
        # As many heads as sequences: positions that line up with the wrong axis raise nothing there.
        asked += [
            (a.randn(3, 3, 5, 4), positions_of(a, 3, 5), 20.0),
            (a.randn(2, 1, 5, 4), positions_of(a, 2, 5), 20.0),
        ]
        found = turned(a, asked, style)
        if found:
            return found
    return None


def far(a: Asker) -> Finding | None:
    near, beyond = (torch.randint(*span, (2, 5), generator=a.generator) for span in ((300, 5000), (131072, 140000)))
    asked = [(a.randn(5, 8), near[0], 10000.0), (a.randn(2, 5, 4), near, 500.0), (a.randn(5, 4), beyond[0], 10000.0)]
    asked.append((a.randn(67, 64), torch.arange(67) + 61, 10000.0))
    for style in ("half", "interleaved"):
        # Where angles are taken in float32 their error grows with the place.
        wrong = turned(a, asked, style, places=True)
        if wrong:
            return wrong
    return None


def distance(a: Asker) -> Finding | None:
    q, k = a.randn(1, 12), a.randn(1, 12)
    for style in ("half", "interleaved"):
        given = [[a.call("rope", t, torch.tensor([p]), 100.0, style) for t, p in ((q, m), (k, n))]
                 for m, n in ((3, 1), (12, 10))]  # fmt: skip
        if not all(isinstance(t, Tensor) for each in given for t in each):
            return a.found("rope gives no tensor")
        one, two = ((each[0] * each[1]).sum() for each in given)
        wrong = a.same(two, one, f"q · k at places 12 and 10, held against 3 and 1, {style!r}", tolerance=TABLES)
        if wrong:
            return wrong
    return None


def rope_gradient(a: Asker) -> Finding | None:
    for style in ("half", "interleaved"):
        x, places, weigh = a.randn(2, 5, 8), positions_of(a, 5), a.randn(2, 5, 8)
        found = a.grads("rope", x, places, 100.0, style, weigh=weigh)["inputs"].get("0.0")
        if found is None:
            return a.found("no gradient reaches x: is something cut off (detach, item, numpy)?")
        # To turn back is to turn the other way.
        wrong = a.same(found, rope(weigh, -places, 100.0, style), f"the gradient for x, {style!r}", tolerance=TABLES)
        if wrong:
            return wrong
    return None


def loaded(a: Asker, name: str, ours: nn.Module, *sizes: Any) -> Remote:
    """The learner's module with weights of ours."""
    module = a.build(name, *sizes)
    weights = {n: 1.5 * a.randn(*t.shape) / t.shape[-1] ** 0.5 for n, t in ours.named_parameters()}
    module.load(weights)
    ours.to(a.dtype).load_state_dict(weights)
    return module


def swiglu(a: Asker) -> Finding | None:
    for width, hidden in ((5, 7), (7, 3), (5, 5)):
        ours = SwiGLU(width, hidden)
        module = loaded(a, "SwiGLU", ours, width, hidden)
        asked = [a.randn(2, 3, width), 3 * a.randn(7, width)]
        given = [module(x) for x in asked]
        for got, x in zip(given, asked, strict=True):
            way = lambda x=x, ours=ours: {  # noqa: E731
                "gate(x)": ours.gate(x).detach(),
                "up(x)": ours.up(x).detach(),
                "silu(gate(x))": nn.functional.silu(ours.gate(x)).detach(),
                "silu(gate(x)) · up(x)": (nn.functional.silu(ours.gate(x)) * ours.up(x)).detach(),
            }
            wrong = a.same(got, ours(x).detach(), f"SwiGLU({width}, {hidden}) of x {list(x.shape)}", steps=way)
            if wrong:
                return wrong
    return None


def module_gradient(a: Asker, module: Remote, ours: nn.Module, x: Tensor) -> Finding | None:
    """The gradient for x, and one for every parameter."""
    weigh = a.randn(*x.shape)
    found = module.grads(x, weigh=weigh)
    leaf = x.clone().requires_grad_(True)
    right = torch.autograd.grad((ours(leaf) * weigh).sum(), leaf)[0]
    got = found["inputs"].get("0.0")
    if got is None:
        return a.found("no gradient reaches x")
    idle = [name for name, g in found["parameters"].items() if g is None or not bool((g.abs() > 0).any())]
    if idle:
        return a.found(f"no gradient reaches {', '.join(idle)}: is something cut off, or not used?")
    return a.same(got, right, "the gradient for x")


def swiglu_gradient(a: Asker) -> Finding | None:
    ours = SwiGLU(5, 7)
    module = loaded(a, "SwiGLU", ours, 5, 7)
    return module_gradient(a, module, ours, a.randn(2, 3, 5))


def biases(a: Asker, asked: list[tuple[int, int, int]]) -> Finding | None:
    """Several biases, each relative to what stands at the query's own key."""
    given = [a.call("alibi", *sizes) for sizes in asked]
    for got, (heads, queries, keys) in zip(given, asked, strict=True):
        said = f"alibi({heads}, {queries}, {keys})"
        if not isinstance(got, Tensor) or not got.dtype.is_floating_point:
            what = str(got.dtype)[6:] if isinstance(got, Tensor) else describe(got)
            return a.found(f"{said} is {what}; a tensor of floats is asked", about=got)
        if tuple(got.shape) != (heads, queries, keys):
            return a.found(f"{said} has shape {list(got.shape)}; right is {[heads, queries, keys]}", about=got)
        places = torch.arange(queries)[:, None] + keys - queries
        apart = places - torch.arange(keys)[None, :]
        seen = apart >= 0
        # A query before every key has no row that counts.
        own = got.double().gather(-1, places.clamp_min(0).expand(heads, queries, 1))
        zero = torch.zeros((), dtype=torch.float64)
        bias = torch.where(seen, got.double() - own, zero)
        right = torch.where(seen, -torch.tensor(slopes(heads), dtype=torch.float64)[:, None, None] * apart, zero)
        wrong = a.same(bias, right, f"{said}, less what stands at each query's own key,", tolerance=1e-5)
        if wrong:
            return Finding(message=wrong.message, asked=a.origin.get(id(got)))
    return None


def alibi_square(a: Asker) -> Finding | None:
    return biases(a, [(8, 5, 5), (4, 7, 7), (2, 3, 3), (1, 4, 4), (16, 2, 2), (64, 2, 2)])


def alibi_more_keys(a: Asker) -> Finding | None:
    return biases(a, [(4, 2, 7), (8, 1, 5), (2, 3, 11), (4, 5, 3), (2, 2, 1031)])


def alibi_heads(a: Asker) -> Finding | None:
    return biases(a, [(6, 5, 5), (3, 3, 7), (12, 3, 3), (5, 2, 3), (7, 3, 3), (40, 2, 2)])


def groups(a: Asker, cases: tuple[tuple[int, int, int | None], ...]) -> Finding | None:
    """Attention with so many heads in so many groups; their widths odd and even, for rotary positions fit even ones."""
    for width, heads, shared in cases:
        sizes = (width, heads) if shared is None else (width, heads, shared)
        ours = MultiHeadAttention(*sizes)
        module = loaded(a, "MultiHeadAttention", ours, *sizes)
        x = a.randn(2, 5, width)
        causal = torch.ones(5, 5, dtype=torch.bool).tril()
        masks = {" under a causal mask": causal}
        for shape in ((2, 5, 5), (2, 1, 5, 5), (2, heads, 5, 5)):
            masks[f" under a mask {'×'.join(map(str, shape))}"] = causal | (a.rand(*shape) < 0.3)
        got, under = module(x), {told: module(x, mask) for told, mask in masks.items()}
        rights = {told: ours(x, mask) for told, mask in masks.items()}
        for told, answer in {"": got, **under}.items():
            said = f"the output with {heads} heads in {shared or heads} groups{told}"
            wrong = a.same(answer, rights.get(told, ours(x)).detach(), said)
            if wrong:
                return wrong
    return None


def heads_plain(a: Asker) -> Finding | None:
    return groups(a, ((15, 3, None), (6, 2, 2), (12, 3, None)))


def heads_groups(a: Asker) -> Finding | None:
    return groups(a, ((18, 6, 3), (18, 6, 2), (20, 4, 1), (12, 4, 4), (24, 6, 3), (8, 4, 2), (6, 6, 2)))


def heads_told(a: Asker) -> Finding | None:
    for sizes, right in (((18, 6, 3), (6, 3)), ((15, 3), (3, 3))):
        module = a.build("MultiHeadAttention", *sizes)
        got = module.get("num_heads"), module.get("num_kv_heads")
        if got != right:
            return a.found(f"num_heads, num_kv_heads of MultiHeadAttention{sizes} are {got}; right is {right}")
    return None


def heads_divide(a: Asker) -> Finding | None:
    for sizes in ((12, 6, 4), (7, 2), (10, 5, 2)):
        found = a.raises("MultiHeadAttention", *sizes)
        if found:
            return found
    return None


def heads_gradient(a: Asker) -> Finding | None:
    ours = MultiHeadAttention(18, 6, 3)
    module = loaded(a, "MultiHeadAttention", ours, 18, 6, 3)
    return module_gradient(a, module, ours, a.randn(2, 5, 18))


def float32(a: Asker) -> Finding | None:
    x, places = a.randn(2, 5, 8).float(), positions_of(a, 5)
    for style in ("half", "interleaved"):
        got = a.call("rope", x, places, 100.0, style)
        wrong = a.same(got, rope(x, places, 100.0, style), f"rope in float32, {style!r}")
        if wrong:
            return wrong
    return None
