"""What an encoder-decoder must do, seen from outside: who may know what, and that everything it has is used."""

from __future__ import annotations

import torch
from torch import Tensor

from oneblock.learn.asker import Asker, Failed, Remote, describe
from oneblock.learn.exercise import Finding

SOURCES, TARGETS, WIDTH, HEADS, CONTEXT = 13, 17, 10, 2, 67


def shaken(a: Asker, layers: int = 2) -> Remote:
    """An encoder-decoder whose parameters are random, so that nothing that starts at zero stays unseen."""
    module = a.build("EncoderDecoder", SOURCES, TARGETS, WIDTH, HEADS, layers, CONTEXT)
    # By the learner's own names, whatever they are.
    module.ask("load", theirs=True, weights={name: random_like(a, t) for name, t in module.weights().items()})
    return module


def random_like(a: Asker, tensor: Tensor) -> Tensor:
    """Matrices at the usual size; gains and biases near what they were."""
    if tensor.dim() < 2:
        return tensor + 0.2 * a.randn(*tensor.shape, dtype=tensor.dtype)
    return 1.5 * a.randn(*tensor.shape, dtype=tensor.dtype) * tensor.shape[-1] ** -0.5


def texts(a: Asker, batch: int = 2, source: int = 5, target: int = 3) -> tuple[Tensor, Tensor]:
    """Tokens of both sides, with the last of each vocabulary among them."""
    one, two = a.randint(0, SOURCES - 1, batch, source), a.randint(0, TARGETS - 1, batch, target)
    one[0, 1], two[0, 1 % target] = SOURCES - 1, TARGETS - 1
    return one, two


def checked(a: Asker, got: object, shape: tuple[int, ...], what: str) -> Tensor:
    """A finite tensor of this shape in this run's dtype, or a finding."""
    if not isinstance(got, Tensor):
        raise Failed(a.found(f"{what} is {describe(got)}; a tensor is asked"))
    if tuple(got.shape) != shape or got.dtype != a.dtype:
        said = f"{list(got.shape)} of {str(got.dtype)[6:]}; right is {list(shape)} of {str(a.dtype)[6:]}"
        raise Failed(a.found(f"{what} is {said}", about=got))
    if not bool(torch.isfinite(got).all()):
        raise Failed(a.found(f"{what} is not finite", about=got))
    return got


def logits(a: Asker, module: Remote, source: Tensor, target: Tensor, real: Tensor | None = None) -> Tensor:
    """What the forward pass gives."""
    given = (source, target) if real is None else (source, target, real)
    return checked(a, module(*given), (*target.shape, TARGETS), "what forward gives")


def differs(one: Tensor, two: Tensor) -> bool:
    """More than rounding can do."""
    return float((one - two).abs().max()) > 1e-5 * max(1.0, float(one.abs().max()))


def other(tokens: Tensor, place: int, vocab: int) -> Tensor:
    """The same tokens, but for one place."""
    changed = tokens.clone()
    changed[:, place] = (changed[:, place] + 1 + vocab // 3) % vocab
    return changed


def turned(tokens: Tensor, vocab: int) -> tuple[Tensor, Tensor]:
    """The first two tokens made different, and the same with those two changing places."""
    tokens = tokens.clone()
    tokens[:, 1] = (tokens[:, 0] + 1) % vocab
    back = tokens.clone()
    back[:, 0], back[:, 1] = tokens[:, 1], tokens[:, 0]
    return tokens, back


def whole_shape(a: Asker) -> Finding | None:
    module = shaken(a)
    source, target = texts(a)
    got = logits(a, module, source, target)
    rows = got.sum(-1)
    if bool((got >= 0).all()) and bool(((rows - 1).abs() < 1e-4).all()):
        return a.found("forward gives shares that add up to 1; logits are asked, without a softmax")
    checked(a, module.method("encode", source), (2, 5, WIDTH), "what encode gives")
    logits(a, module, source[:, :1], target[:, :1])
    one, two = a.randint(0, SOURCES, 1, CONTEXT), a.randint(0, TARGETS, 1, CONTEXT)
    logits(a, module, one, two)
    return None


def layers(a: Asker) -> Finding | None:
    counts = {}
    for many in (1, 3):
        module = shaken(a, many)
        # Each parameter was given numbers of its own: those that are equal now are one.
        found = module.weights()
        logits(a, module, *texts(a))
        counts[many] = len({(tuple(t.shape), *t.flatten()[:3].tolist()) for t in found.values() if t.dim() > 1})
    if counts[3] <= counts[1]:
        return a.found(
            f"with 3 layers it has as many weight matrices ({counts[3]}) as with 1: are the layers in a plain list, "
            "or one layer several times?"
        )
    shallow, deep = (reached(a, shaken(a, count)) for count in (1, 3))
    for side, one, three in zip(("encoder", "decoder"), shallow, deep, strict=True):
        if three <= one:
            return a.found(
                f"with 3 layers the {side} has as many weight matrices ({three}) as with 1: num_layers layers on "
                "either side are asked, each with weights of its own"
            )
    return None


def reached(a: Asker, module: Remote) -> tuple[int, int]:
    """How many matrices what encode gives depends on, and what decode makes of a memory."""
    source, target = texts(a)
    counts = []
    for method, given, last in (("encode", (source,), WIDTH), ("decode", (target, a.randn(2, 5, WIDTH)), TARGETS)):
        weigh = a.randn(*given[0].shape, last)
        found = module.grads(*given, method=method, weigh=weigh)["parameters"].values()
        counts.append(sum(g is not None and g.dim() > 1 and bool((g.abs() > 0).any()) for g in found))
    return counts[0], counts[1]


def two_halves(a: Asker) -> Finding | None:
    module = shaken(a)
    source, target = texts(a)
    real = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    whole = logits(a, module, source, target, real)
    memory = module.method("encode", source, real)
    got = module.method("decode", target, memory, real)
    plain = logits(a, module, source, target)
    memory = module.method("encode", source)
    return a.same(
        got, whole, "decode(target, encode(source, mask), mask), held against forward(source, target, mask),"
    ) or a.same(
        module.method("decode", target, memory), plain, "decode(target, encode(source)), held against forward, "
    )


def causal(a: Asker) -> Finding | None:
    module = shaken(a)
    source, target = texts(a, target=CONTEXT)
    got = logits(a, module, source, target)
    changed = {place: logits(a, module, source, other(target, place, TARGETS)) for place in (CONTEXT - 1, 11, 6, 3, 1)}
    for place, now in changed.items():
        if differs(got[:, :place], now[:, :place]):
            return a.found(
                f"logits before place {place} change when target token {place} does: the decoder reads ahead"
            )
    return None


def own_past(a: Asker) -> Finding | None:
    module = shaken(a)
    source, target = texts(a, target=5)
    got = logits(a, module, source, target)
    first, last = (logits(a, module, source, other(target, place, TARGETS)) for place in (0, 4))
    if not differs(got[:, 4], last[:, 4]):
        return a.found("the logits at a place do not depend on the target token at that place")
    if not differs(got[:, 4], first[:, 4]):
        return a.found(
            "the logits at the last place do not depend on the first target token: what was written is unseen"
        )
    return None


def reads_source(a: Asker) -> Finding | None:
    module = shaken(a)
    source, target = texts(a, source=5)
    got = logits(a, module, source, target)
    for place in (0, 4):
        now = logits(a, module, other(source, place, SOURCES), target)
        for at in (0, 2):
            if not differs(got[:, at], now[:, at]):
                return a.found(f"the logits at place {at} do not depend on source token {place} of 5")
    return None


def direct(a: Asker) -> Finding | None:
    # The memory itself, without an encoder that could have carried a token elsewhere.
    module = shaken(a)
    _, target = texts(a)
    memory = a.randn(2, 5, WIDTH)
    got = module.method("decode", target, memory)
    for place in range(5):
        changed = memory.clone()
        changed[:, place] += a.randn(2, WIDTH)
        now = module.method("decode", target, changed)
        for at in range(3):
            if not differs(got[:, at], now[:, at]):
                return a.found(f"decode: the logits at place {at} do not depend on memory token {place} of 5")
    mixed = module.method("decode", target, memory[:, [3, 0, 4, 1, 2]])
    return a.same(mixed, got, "decode with the memory's tokens in another order (which it need not know)")


def attends(a: Asker) -> Finding | None:
    # Attention chooses: one memory token more, equal to all others, changes nothing; a mean of different ones does.
    module = shaken(a)
    _, target = texts(a)
    memory = a.randn(2, 3, WIDTH)
    got = module.method("decode", target, memory)
    mean = memory.mean(1, keepdim=True).expand(2, 3, WIDTH)
    if not differs(got, module.method("decode", target, mean)):
        return a.found("decode uses nothing but the mean of the memory; attention chooses among its tokens")
    twice = module.method("decode", target, torch.cat((memory, memory), 1))
    return a.same(twice, got, "decode with each memory token there twice")


def both_ways(a: Asker) -> Finding | None:
    module = shaken(a)
    source, _ = texts(a, source=5)
    got = module.method("encode", source)
    last, first = (module.method("encode", other(source, place, SOURCES)) for place in (4, 0))
    if not differs(got[:, 0], last[:, 0]):
        return a.found("memory token 0 does not depend on the last source token: an encoder reads both ways")
    if not differs(got[:, 4], first[:, 4]):
        return a.found("the last memory token does not depend on the first source token")
    return None


def places(a: Asker) -> Finding | None:
    # One layer: a stack of them knows order by its causal mask.
    module = shaken(a, layers=1)
    source, target = texts(a, source=5, target=5)
    source, source_back = turned(source, SOURCES)
    target, target_back = turned(target, TARGETS)
    got, one, two = (logits(a, module, s, t) for s, t in
                     ((source, target), (source_back, target), (source, target_back)))  # fmt: skip
    if not differs(got, one):
        return a.found("two source tokens that change places change no logit: the encoder needs positions")
    if not differs(got[:, 2:], two[:, 2:]):
        return a.found("two target tokens that change places change no later logit: the decoder needs positions")
    long, _ = texts(a, source=CONTEXT)
    long[:, 64] = (long[:, 0] + 1) % SOURCES
    back = long.clone()
    back[:, 0], back[:, 64] = long[:, 64], long[:, 0]
    if not differs(logits(a, module, long, target), logits(a, module, back, target)):
        return a.found("source tokens 0 and 64 can change places unseen: a place of its own for each is asked")
    return None


def source_padding(a: Asker) -> Finding | None:
    module = shaken(a)
    source, target = texts(a, source=7)
    real = torch.tensor([[True] * 5 + [False] * 2] * 2)
    got = logits(a, module, source, target, real)
    changed = logits(a, module, torch.where(real, source, (source + 3) % SOURCES), target, real)
    short = logits(a, module, source[:, :5], target)
    return a.same(changed, got, "the logits after other tokens in masked places of the source") or a.same(
        got, short, "the logits with two masked source tokens, held against those without them,"
    )


def memory_padding(a: Asker) -> Finding | None:
    module = shaken(a)
    source, target = texts(a, source=7)
    real = torch.tensor([[True] * 5 + [False] * 2, [True, False] + [True] * 5])
    memory = a.randn(2, 7, WIDTH)
    got = module.method("decode", target, memory, real)
    junk = torch.where(real[..., None], memory, 30 * a.randn(2, 7, WIDTH))
    found = a.same(
        module.method("decode", target, junk, real), got, "decode after other numbers in masked memory tokens"
    )
    if found:
        return found
    encoded = module.method("encode", source, real)
    again = module.method("encode", torch.where(real, source, (source + 3) % SOURCES), real)
    return a.same(again[real], encoded[real], "encode of real tokens after other tokens in masked places")


def keyword(a: Asker) -> Finding | None:
    module = shaken(a)
    source, target = texts(a)
    real = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    got = module(source=source, target=target, source_mask=real)
    return a.same(got, logits(a, module, source, target, real), "forward with its arguments by name")


def alone(a: Asker) -> Finding | None:
    module = shaken(a)
    source, target = texts(a, batch=3)
    real = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] * 2 + [False] * 3])
    got = logits(a, module, source, target, real)
    for at in range(3):
        single = logits(a, module, source[at : at + 1], target[at : at + 1], real[at : at + 1])
        found = a.same(got[at : at + 1], single, f"sentence {at} among others, held against itself alone,")
        if found:
            return found
    return None


def learns(a: Asker) -> Finding | None:
    module = shaken(a, layers=3)
    source, target = texts(a, batch=3, source=7, target=7)
    found = module.grads(source, target, weigh=a.randn(3, 7, TARGETS))["parameters"]
    idle = [name for name, g in found.items() if g is None or (g.dim() > 1 and not bool((g.abs() > 1e-12).any()))]
    if idle:
        more = f" and {len(idle) - 4} more" if len(idle) > 4 else ""
        return a.found(f"no gradient reaches {', '.join(idle[:4])}{more}: is it used?")
    return None
