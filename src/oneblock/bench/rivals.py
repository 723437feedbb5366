"""The rivals: how each is run at its defaults and at its best, what it can express. Loads no torch."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from oneblock.bench.job import OURS, TRAIN, Arm, BenchError
from oneblock.config.block import Block
from oneblock.config.decoder import Decoder
from oneblock.config.experts import Mixture
from oneblock.config.feedforward import Gated
from oneblock.config.norm import NoNorm
from oneblock.config.position import Learned, Rope
from oneblock.config.presets import PRESETS
from oneblock.config.residual import Added

NANOGPT, HF, X_TRANSFORMERS = "nanoGPT", "hf", "x-transformers"
PACKAGES = {HF: "transformers", X_TRANSFORMERS: "x-transformers"}

_BF16 = (("bfloat16", False), ("bfloat16", True))


def our_arms(kind: str, *, allocator: bool = False) -> list[Arm]:
    """Our own, eager and compiled; `allocator` adds training that leaves the C library's allocator alone."""
    if kind == TRAIN:
        arms = [
            Arm(rival=OURS, name="eager", precision="compute", default=True),
            Arm(rival=OURS, name="compiled", precision="compute", compile=True),
        ]
        extra = [
            replace(arm, name=f"{arm.name}, memory given back", default=False, options={"keep_memory": False})
            for arm in arms
        ]
        return arms + (extra if allocator else [])
    return [
        Arm(rival=OURS, name="float32", default=True),
        Arm(rival=OURS, name="float32, compiled", compile=True),
        *(Arm(rival=OURS, name=_words(*how), precision=how[0], compile=how[1]) for how in _BF16),
        Arm(rival=OURS, name="int8 weights, compiled", precision="int8", compile=True),
    ]


def rival_arms(rival: str, kind: str, device: str) -> list[Arm]:
    """A rival's arms, the one at its defaults first."""
    if rival in PRESETS:
        return [replace(arm, rival=rival) for arm in our_arms(kind)]
    if kind == TRAIN:
        return list(_training_arms(rival, device))
    return list(_decoding_arms(rival))


def _training_arms(rival: str, device: str) -> Iterator[Arm]:
    # nanoGPT's training script computes under bfloat16 autocast, compiled, on a GPU; in float32 elsewhere.
    shipped_fast = rival == NANOGPT and device == "cuda"
    best = {"flash": True, "use_cache": False, "fused": True}
    if not shipped_fast:
        yield Arm(rival=rival, name="as shipped: float32", default=True)
    yield Arm(rival=rival, name="bf16 autocast", precision="autocast", options=best)
    words = "as shipped: bf16 autocast, compiled" if shipped_fast else "bf16 autocast, compiled"
    yield Arm(rival=rival, name=words, precision="autocast", compile=True, default=shipped_fast, options=best)


def _decoding_arms(rival: str) -> Iterator[Arm]:
    yield Arm(rival=rival, name="as shipped: float32", default=True)
    if rival == HF:
        static = {"static": True}
        yield Arm(rival=rival, name="float32, static cache, compiled", compile=True, options=static)
        yield Arm(rival=rival, name="bfloat16", precision="bfloat16")
        name = "bfloat16, static cache, compiled"
        yield Arm(rival=rival, name=name, precision="bfloat16", compile=True, options=static)
        return
    best = {"flash": True}
    if rival == X_TRANSFORMERS:
        yield Arm(rival=rival, name="float32, flash attention", options=best)
    else:
        # Without a cache every token has another length: compiled once for all of them.
        yield Arm(rival=rival, name="float32, compiled", compile=True, options=best)
        yield Arm(rival=rival, name="bf16 autocast", precision="autocast", options=best)
    yield Arm(rival=rival, name="bfloat16", precision="bfloat16", options=best)


def _words(precision: str, compiled: bool) -> str:
    return f"{precision}, compiled" if compiled else precision


def resolve(against: str) -> tuple[str, str | None]:
    """The rival that `--against` names, and its folder if it is a path; BenchError where it is not there."""
    if against in PACKAGES:
        if version(against) is None:
            raise BenchError(
                f"--against {against} needs the package {PACKAGES[against]}, which is not installed; "
                "pip install 'oneblock[peers]'"
            )
        return against, None
    if against in PRESETS:
        return against, None
    folder = Path(against)
    if not (folder / "model.py").is_file():
        what = "has no model.py" if folder.is_dir() else "is not a folder"
        raise BenchError(
            f"--against {against} {what}; give hf, x-transformers, a preset, or the folder of a nanoGPT "
            "checkout (with its model.py)"
        )
    return NANOGPT, str(folder.resolve())


def version(rival: str) -> str | None:
    """The installed version of a rival that is a package; None where it is not installed."""
    try:
        return importlib.metadata.version(PACKAGES[rival])
    except importlib.metadata.PackageNotFoundError:
        return None


def check_expressible(rival: str, model: Decoder) -> None:
    """BenchError naming the options that the rival's model does not have.

    What costs the same is let through: the kind of norm, of activation, of plain position scheme. Our own presets
    are raced as they are.
    """
    if rival in PRESETS:
        return
    wrong = [*_unusual(model), *_beyond(rival, model)]
    if wrong:
        raise BenchError(
            f"{rival} cannot express {', '.join(wrong)}; choose another --preset, or change that with --set"
        )


def _unusual(model: Decoder) -> Iterator[str]:
    """Options that none of the rivals' plain models have."""
    if len(model.blocks) > 1:
        yield f"a pattern of {len(model.blocks)} different blocks"
    block: Block = model.blocks[0]
    attention = block.attention
    if block.branches != (("attention",), ("feed_forward",)):
        yield f"block.steps={','.join(block.steps)}"
    for name in ("attention", "feed_forward"):
        own = block.only(name)
        if own.placement != "pre":
            yield f"block.placement={own.placement} of the {name}"
        if own.residual != Added():
            yield f"the residual of the {name}"
    if not isinstance(attention.qk_norm, NoNorm):
        yield "block.attention.qk_norm"
    for name in ("soft_cap", "window", "scale", "position"):
        if getattr(attention, name) is not None:
            yield f"block.attention.{name}"
    if isinstance(block.feed_forward, Mixture):
        yield "block.feed_forward with experts"
    inner = getattr(block.feed_forward, "dropout", 0.0)
    if any((block.dropout, attention.dropout, inner, model.embedding_dropout)):
        yield "dropout (it is measured without)"
    if not isinstance(model.position, Rope | Learned):
        yield f"position={type(model.position).__name__.lower()}"
    if not isinstance(model.embedding_norm, NoNorm):
        yield "embedding_norm"
    for name in ("embedding_scale", "head_bias", "logit_soft_cap"):
        if getattr(model, name):
            yield name


def _beyond(rival: str, model: Decoder) -> Iterator[str]:
    """Options that this rival's model does not have, and others' have."""
    block = model.blocks[0]
    attention, feed_forward = block.attention, block.feed_forward
    gpt_like = rival == NANOGPT or (rival == HF and isinstance(model.position, Learned))
    if not gpt_like:
        return
    if attention.num_groups != attention.num_heads:
        yield f"block.attention.num_kv_heads={attention.num_kv_heads}"
    if attention.num_heads * attention.width_of_head(model.width) != model.width:
        yield f"block.attention.head_width={attention.head_width}"
    if isinstance(feed_forward, Gated):
        yield "block.feed_forward=gated"
    elif rival == NANOGPT and feed_forward.hidden_width(model.width) != 4 * model.width:
        hidden = feed_forward.hidden_width(model.width)
        yield f"block.feed_forward with {hidden} inner features (it has 4 × width)"
    if not model.tied:
        yield "tied=false"
