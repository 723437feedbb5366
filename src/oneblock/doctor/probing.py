"""From a thing that was opened to a `Target`: what it takes, how long, what kind it is. Tried, never assumed."""

from __future__ import annotations

import copy
import inspect
import re
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from oneblock.doctor.calling import Calling, logits_of, read_signature
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.shells import hides, tried
from oneblock.doctor.target import Target
from oneblock.models.decoder import Decoder
from oneblock.models.dit import DiT
from oneblock.models.encoder import Encoder
from oneblock.models.encoder_decoder import EncoderDecoder
from oneblock.models.vision import Vision

LENGTHS = (140, 96, 66, 48, 32, 24, 16, 12, 8, 5, 3)
KINDS = ("causal", "encoder", "seq2seq", "images")
ENCODER_WORDS = ("bert", "encoder", "masked", "vit", "electra", "classif", "bidirectional", "dit", "diffusion")
CAUSAL_WORDS = ("gpt", "causal", "decoder", "lmhead", "autoregressive", "llama", "mistral", "mixtral")


def recognise(thing: Any, name: str, expect: dict[str, str]) -> Target:
    """The target, probed on a copy. DoctorError where no way of calling works: with what each said."""
    try:
        trial = copy.deepcopy(thing)
    except Exception as error:
        raise DoctorError(f"{name} cannot be copied, so it cannot be left as found: {error}") from error
    if isinstance(trial, nn.Module):
        trial.eval()
    elif not hasattr(trial, "logits"):
        raise DoctorError(f"{name} gives a {type(thing).__name__}; give a torch module or an adapter with logits(ids)")
    if isinstance(trial, nn.Module) and any(p.device.type != "cpu" for p in trial.parameters()):
        # Everything is asked of copies; theirs stand on the CPU, where float64 is.
        trial = trial.cpu()
        thing = copy.deepcopy(thing).cpu()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        found = _ours(trial, name) or _of_pixels(trial, name) or _probed(trial, name)
        said_len = getattr(trial, "max_len", None) if found.adapter else None
        found = replace(found, max_len=found.max_len or (said_len if isinstance(said_len, int) else _longest(found)))
        logits = found(found.sample(2, min(4, found.max_len), 0))
        says = found.takes == "tokens" and logits.dim() == 3 and logits.shape[-1] >= found.vocab_size
        kind = expect.get("kind") or (found.kind if found.kind != "unknown" else _kind(thing, found.calling))
    return replace(found, thing=thing, kind=kind, says_tokens=says)


def _ours(thing: Any, name: str) -> Target | None:
    config: Any = getattr(thing, "config", None)
    if isinstance(thing, Decoder):
        calling = Calling(mask="padding", mask_says_real=False)
        return Target(name=name, thing=thing, calling=calling, kind="causal", vocab_size=config.vocab_size)
    if isinstance(thing, Encoder):
        calling = Calling(mask="padding", mask_says_real=False)
        return Target(name=name, thing=thing, calling=calling, kind="encoder", vocab_size=config.vocab_size)
    if isinstance(thing, EncoderDecoder):
        sizes = {"vocab_size": config.target_vocab or config.source_vocab, "source_vocab": config.source_vocab}
        calling = Calling(ids="target", source="source", mask="padding", mask_says_real=False)
        return Target(name=name, thing=thing, calling=calling, kind="seq2seq", **sizes)
    if isinstance(thing, DiT | Vision):
        return Target(
            name=name, thing=thing, calling=Calling(), kind="images", takes="images", shape=thing.shape, max_len=4
        )
    return None


def _of_pixels(thing: Any, name: str) -> Target | None:
    """A class of transformers that takes `pixel_values`, as large as its configuration says."""
    config, size = getattr(thing, "config", None), getattr(getattr(thing, "config", None), "image_size", None)
    names = inspect.signature(thing.forward).parameters if isinstance(thing, nn.Module) else {}
    if size is None or "pixel_values" not in names or "input_ids" in names:
        return None
    height, width = size if isinstance(size, tuple | list) else (size, size)
    shape = (int(getattr(config, "num_channels", 3)), int(height), int(width))
    calling = Calling(ids="pixel_values")
    made = Target(name=name, thing=thing, calling=calling, kind="images", takes="images", shape=shape, max_len=4)
    try:
        made(made.sample(1, 1, 0))
    except Exception:
        return None
    return made


def _probed(thing: Any, name: str) -> Target:
    if isinstance(thing, nn.Module):
        calling = tried(thing) if hides(thing.forward) else read_signature(thing.forward)
    else:
        calling = _adapter_calling(thing)
    kind = "seq2seq" if calling.source else "unknown"
    base = Target(name=name, thing=thing, calling=calling, kind=kind, vocab_size=2)
    said = []
    x = torch.tensor([[0, 1, 1, 0, 1, 0], [1, 0, 1, 1, 0, 0]])[:, :5]
    try:
        logits = logits_of(base.ask(x))
        if logits.dim() == 3 and logits.shape[1] == 1 and calling.labels:
            base = replace(base, calling=replace(calling, dummy_targets=True))
            logits = logits_of(base.ask(x))
        return replace(base, vocab_size=_vocabulary(thing, logits))
    except Exception as error:
        said.append(f"token ids: {type(error).__name__}: {_short(error)}")
    tables = any(isinstance(each, nn.Embedding) for each in base.module.modules())
    for width in () if tables else _widths(base.module):
        vectors = replace(base, takes="vectors", width=width)
        try:
            vectors(vectors.sample(2, 5, 0))
            return vectors
        except Exception as error:
            said.append(f"vectors of width {width}: {type(error).__name__}: {_short(error)}")
    raise DoctorError(f"{name} cannot be called as {calling}; " + "; ".join(said[:3]))


def _adapter_calling(thing: Any) -> Calling:
    names = list(inspect.signature(thing.logits).parameters)
    return Calling(
        mask="mask" if "mask" in names else "",
        cache="cache" if "cache" in names else "",
        positions="positions" if "positions" in names else "",
        labels="labels" if callable(getattr(thing, "loss", None)) else "",
    )


def _vocabulary(thing: Any, logits: torch.Tensor) -> int:
    """Of its own saying, else the table of tokens: the one as large as the answer, or the first."""
    config = getattr(thing, "config", None)
    for place in (thing, config, config.get("vocab_size") if isinstance(config, dict) else None):
        size = place if isinstance(place, int) else getattr(place, "vocab_size", None)
        if isinstance(size, int) and size > 0:
            return size
    modules = thing.modules() if isinstance(thing, nn.Module) else ()
    tables = [m.num_embeddings for m in modules if isinstance(m, nn.Embedding)]
    last = logits.shape[-1]
    return last if last in tables or not tables else tables[0]


def _widths(module: nn.Module) -> list[int]:
    """Widths that a model of vectors may want, most likely first."""
    found: list[int] = []
    for each in module.modules():
        if isinstance(each, nn.LayerNorm):
            found.append(each.normalized_shape[-1])
        elif isinstance(each, nn.Linear):
            found.append(each.in_features)
        elif isinstance(each, nn.MultiheadAttention):
            found.append(each.embed_dim)
    found += [p.shape[-1] for p in module.parameters() if p.dim()]
    return list(dict.fromkeys(found))[:4]


def _longest(target: Target) -> int:
    """The longest input, of a few lengths, that works."""
    last: Exception | None = None
    for length in LENGTHS:
        try:
            answer = target(target.sample(1, length, 0))
        except Exception as error:
            last = error
            continue
        if answer.dim() < 3 or answer.shape[1] == length:
            return length
    raise DoctorError(f"{target.name} cannot run on more than 2 tokens as {target.calling}: {_short(last)}")


def _kind(thing: Any, calling: Calling) -> str:
    """What its names say it is; behaviour decides where they say nothing."""
    config = getattr(thing, "config", None)
    if getattr(config, "is_encoder_decoder", False):
        return "seq2seq"
    words = re.sub(r"[^a-z]", "", type(thing).__name__.lower())
    if any(word in words for word in CAUSAL_WORDS):
        return "causal"
    if any(word in words for word in ENCODER_WORDS) and not getattr(config, "is_decoder", False):
        return "encoder"
    inner = next((m for m in thing.children() if list(m.children())), None) if calling.tried else None
    if inner is not None and not _own_parts(thing, inner):
        # A shell is what it stands around.
        return _kind(inner, calling)
    writes = callable(getattr(thing, "generate", None)) or bool(calling.cache) or calling.dummy_targets
    return "causal" if writes or getattr(config, "is_decoder", False) else "unknown"


def _own_parts(thing: nn.Module, inner: nn.Module) -> bool:
    """Whether a module has weights that the one inside has not."""
    inside = {id(p) for p in inner.parameters()}
    return any(id(p) not in inside for p in thing.parameters())


def _short(error: Exception | None, most: int = 160) -> str:
    lines = str(error).strip().splitlines()
    return (lines[-1] if lines else type(error).__name__)[:most]
