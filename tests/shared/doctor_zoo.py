"""The zoo: (host, fault, the checks any of which should find it), and healthy models that must not alarm."""

import doctor_hosts as hosts
import torch

import oneblock

FAULTS = [
    ("Gpt", "no mask", "C1"),
    ("Gpt", "mask one too far", "C1"),
    ("Gpt", "mask two too far", "C1"),
    ("Gpt", "mask upside down", "C1"),
    ("Gpt", "no mask in training", "C1"),
    ("Gpt", "no mask beyond 64", "C1"),
    ("Gpt", "no mask when padded", "C1"),
    ("Gpt", "mean over blocks of four", "C1"),
    ("Gpt", "mask after softmax", "C1"),
    ("Gpt", "mask as one added", "C1"),
    ("Gpt", "softmax over queries", "C1 A1"),
    ("Gpt", "sees the mean of all", "C1"),
    ("Gpt", "sees the next embedding", "C1"),
    ("Gpt", "heads merged without transpose", "C1"),
    ("Gpt", "heads without transpose", "C1 K1"),
    ("Gpt", "norm over tokens", "C1 N2"),
    ("Gpt", "norm over tokens and features", "C1 N2"),
    ("Gpt", "weak mask", "C2 C1"),
    ("Gpt", "top-left mask with a cache", "K1"),
    ("Gpt", "no mask with a cache", "K2"),
    ("Gpt", "positions start at 0 with a cache", "K1 K3"),
    ("Gpt", "positions one behind with a cache", "K1 K3"),
    ("Gpt", "cache keeps the new keys only", "K1"),
    ("Gpt", "values in the cache are one behind", "K1"),
    ("Gpt", "pads unmasked", "P1"),
    ("Gpt", "pads masked as queries", "P1"),
    ("Gpt", "polarity of pads inverted", "P1"),
    ("Gpt", "pads mean over all", "P1 B1"),
    ("Gpt", "masked rows are NaN", "P2"),
    ("Gpt", "batch and tokens swapped", "B1"),
    ("Gpt", "norm over the batch", "B1"),
    ("Gpt", "positions forgotten", "W2"),
    ("Gpt", "positions in a plain tensor", "W2"),
    ("Gpt", "normal embedding, tied", "I2"),
    ("Gpt", "head far too large", "I2"),
    ("Gpt", "weights are one number", "I1"),
    ("Gpt", "labels not shifted", "L1"),
    ("Gpt", "labels shifted twice", "L1"),
    ("Gpt", "softmax before the loss", "L1"),
    ("Gpt", "ignored labels counted", "L1"),
    ("Gpt", "loss looks at the batch", "L2"),
    ("Gpt", "blocks in a list", "W4"),
    ("Gpt", "one block many times", "W3"),
    ("Gpt", "one norm shared", "W3"),
    ("Gpt", "a norm never used", "W2"),
    ("Gpt", "a plain tensor learns", "W4"),
    ("Gpt", "detached", "W2"),
    ("Gpt", "argmax logits", "W2 O1"),
    ("Gpt", "dropout in eval", "E1"),
    ("Gpt", "noise in eval", "E1"),
    ("Gpt", "stale state", "E1"),
    ("Gpt", "eval inside the forward", "E2"),
    ("Gpt", "no scale", "A2"),
    ("Gpt", "scaled by the model's width", "A2"),
    ("Gpt", "multiplied by the root", "A2"),
    ("Gpt", "weights halved", "A1"),
    ("Gpt", "a dead head", "A4"),
    ("Gpt", "norm in place", "N1 N2"),
    ("Gpt", "norm in half overflows", "D2"),
    ("Gpt", "no norm in a branch", "N1"),
    ("Gpt", "residual after the norm", "N1"),
    ("Gpt", "no residual around attention", "N1"),
    ("Gpt", "no residual around the feed-forward", "N1"),
    ("Gpt", "residual twice", "N1"),
    ("Gpt", "no final norm", "N1"),
    ("Gpt", "post-norm, residual lost", "N1"),
    ("Nano", "no mask", "C1"),
    ("Nano", "no mask in training", "C1"),
    ("Nano", "dropout in eval", "E1"),
    ("Nano", "no scale", "A2"),
    ("Nano", "multiplied by the root", "A2"),
    ("Nano", "no residual", "N1"),
    ("Nano", "no positions, one layer", "R0"),
    ("Nano", "normal embedding, tied", "I2"),
    ("Nano", "labels shifted twice", "L1"),
    ("Bert", "pads unmasked", "P1"),
    ("Bert", "no positions", "R0 W2"),
    ("Bert", "batch and tokens swapped", "B1"),
]
WARNED = {"norm in half overflows"}
"""Faults that are answered with a WARN: in float32 the model is well, in half precision it is not."""
TRAINING = ("I3", "O1")
"""Checks that train: most of the time of an examination."""
HEALTHY = [("Gpt", ""), ("Gpt", "tied"), ("Gpt", "post-norm"), ("Nano", ""), ("Bert", "")]
SMALL = ("width=24", "num_layers=2")
FEW_LAYERS = ("encoder.num_layers=2", "decoder.num_layers=2")
TOKENS = ("context=48", "vocab_size=29")
PRESETS = {
    "nano": (*SMALL, *TOKENS),
    "decoder-8x512": (*SMALL, *TOKENS, "block.attention.num_heads=4"),
    "gpt2": (*SMALL, *TOKENS, "block.attention.num_heads=3"),
    "gpt2-medium": (*SMALL, *TOKENS, "block.attention.num_heads=4"),
    "gpt2-large": (*SMALL, *TOKENS, "block.attention.num_heads=2"),
    "gpt2-xl": ("width=30", "num_layers=3", *TOKENS, "block.attention.num_heads=5"),
    "llama-nano": (*SMALL, *TOKENS, "block.feed_forward.hidden=40"),
    "llama-small": ("width=36", "num_layers=2", *TOKENS, "block.feed_forward.hidden=40"),
    "minimind": ("width=32", "num_layers=2", *TOKENS, "block.feed_forward.hidden=40"),
    "vaswani-decoder": ("width=32", "num_layers=2", *TOKENS),
    "switch-nano": (*SMALL, *TOKENS),
    "gshard-nano": (*SMALL, *TOKENS),
    "encoder-nano": (*SMALL, *TOKENS),
    "seq2seq-nano": ("width=24", *FEW_LAYERS, "source_vocab=19", "target_vocab=23"),
    "vaswani": ("width=32", *FEW_LAYERS, "source_vocab=29", "target_vocab=29"),
    "dit-nano": ("width=24", "num_layers=2", "image_height=12", "time_width=16"),
}
"""Every preset -> what makes it small."""

VARIANTS = {
    "peri": ("block.placement=peri",),
    "norm on the output": ("block.placement=out",),
    "post": ("block.placement=post",),
    "ALiBi": ("position=alibi",),
    "T5's positions": ("position=t5",),
    "no positions": ("position=none",),
    "learned positions": ("position=learned",),
    "QK-norm": ("block.attention.qk_norm=rms",),
    "soft cap": ("block.attention.soft_cap=20",),
    "window": ("block.attention.window=7",),
    "parallel": ("block.steps=attention+feed_forward",),
    "ReZero": (
        "block.residual=scaled",
        "block.residual.branch=0",
        "block.residual.learned=scalar",
        "block.placement=none",
    ),
    "LayerScale": ("block.residual=scaled", "block.residual.branch=0.0001", "block.residual.learned=vector"),
    "untied": ("tied=false",),
    "declared scale": ("block.attention.scale=0.5",),
}
"""Options that look like faults and are none, on nano."""


def ill(host: str, fault: str) -> torch.nn.Module:
    """A host with a fault (none where it is ""); one that shows in half precision alone as a model in float16."""
    torch.manual_seed(0)
    made = getattr(hosts, host)(fault)
    return made.half() if fault in WARNED else made


def preset(name: str) -> torch.nn.Module:
    """A preset of tiny size."""
    config = oneblock.presets.preset(name)
    return oneblock.build(oneblock.override(config, *PRESETS[name]), seed=0)


def variant(name: str) -> torch.nn.Module:
    """nano of tiny size with an option."""
    return oneblock.build(oneblock.override(oneblock.presets.nano(), *SMALL, *TOKENS, *VARIANTS[name]), seed=0)
