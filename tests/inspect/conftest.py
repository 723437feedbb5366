import json
import random

import pytest

from oneblock.config import Attention, Block, Config, ConfigError, Decoder, Dense, RMSNorm, Rope, override

V, D, CONTEXT = 13, 24, 11

CHOICES = {
    "blocks": ["1", "2", "3"],
    "block.norm": ["layer", "rms", "partial_rms", "none", {"type": "rms", "gain": False, "one_plus": False}],
    "block.placement": ["pre", "post", "peri", "out", "none"],
    "block.residual": [
        "on",
        "off",
        {"type": "scaled", "skip": 1.7, "branch": 0.3},
        {"type": "scaled", "branch": 0.1, "learned": "scalar"},
        {"type": "scaled", "skip": 0.5, "branch": 0.1, "learned": "vector"},
    ],
    "block.steps": [
        "attention,feed_forward",
        "feed_forward,attention",
        "attention+feed_forward",
        "attention,attention,feed_forward",
        "feed_forward,feed_forward+attention",
        "attention",
        "feed_forward",
    ],
    "block.shared_norm": ["false", "true"],
    "block.attention": [
        {"num_heads": 3},
        {"num_heads": 6, "num_kv_heads": 2, "bias": True, "output_bias": True},
        {"num_heads": 2, "num_kv_heads": 1, "head_width": 10, "soft_cap": 7.0},
    ],
    "block.attention.window": ["none", "2", "100"],
    "block.attention.qk_norm": ["none", "layer", "rms"],
    "block.attention.qk_norm_over": ["head", "all_heads"],
    "block.attention.position": ["none", "alibi", "t5"],
    "block.feed_forward": ["gelu", "swiglu", {"type": "dense", "bias": True, "ratio": 1.3}, "geglu"],
    "block.dropout": ["0", "0.25"],
    "position": ["none", "learned", "sinusoidal", "rope", "alibi", "t5"],
    "embedding_scale": ["false", "true"],
    "embedding_norm": ["none", "layer"],
    "embedding_dropout": ["0", "0.1"],
    "final_norm": ["none", "rms"],
    "tied": ["true", "false"],
    "head_bias": ["false", "true"],
    "logit_soft_cap": ["none", "20"],
    "blocks.0.attention.window": ["none", "3"],
    "blocks.0.attention_only": [{}, {"placement": "peri"}, {"residual": "off"}],
}


START = Decoder(vocab_size=V, context=CONTEXT, width=D, num_layers=5, blocks=(Block(attention=Attention(num_heads=3)),))


def sample(count: int) -> list[Decoder]:
    """Different models of all options, each drawn at random and the same every time."""
    draw, found = random.Random(5), []
    while len(found) < count:
        model = START
        for path, values in CHOICES.items():
            value = draw.choice(values)
            text = value if isinstance(value, str) else json.dumps(value)
            try:
                model = override(model, f"{path}={text}")
            except ConfigError:
                continue
        found.append(model)
    return found


@pytest.fixture(scope="session")
def plain():
    """A model of nano's size that stays as it is, whatever the preset becomes."""
    block = Block(attention=Attention(num_heads=4), feed_forward=Dense(activation="relu2"), norm=RMSNorm())
    model = Decoder(vocab_size=65, context=256, width=256, num_layers=4, blocks=(block,), position=Rope())
    return Config(name="plain", model=model)


@pytest.fixture(scope="session")
def models():
    return sample(80)
