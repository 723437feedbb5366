import pytest
import torch

from oneblock.config import Attention, Block, Decoder, Dense, RMSNorm
from oneblock.config.position import POSITIONS
from oneblock.models.build import build

VOCAB, CONTEXT = 13, 7


@pytest.fixture
def tiny():
    """Makes small models with large random weights, in float64, so that rounding decides nothing."""

    def make(position="rope", window=None, context=CONTEXT, fused=True, num_layers=2, **attention):
        block = Block(
            attention=Attention(num_heads=2, window=window, **attention),
            feed_forward=Dense(hidden=11),
            norm=RMSNorm(),
        )
        config = Decoder(
            vocab_size=VOCAB,
            context=context,
            width=12,
            num_layers=num_layers,
            blocks=(block,),
            position=POSITIONS[position](),
        )
        model = build(config, seed=1, fused=fused).double()
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for weight in model.parameters():
                weight.copy_(torch.randn(weight.shape, generator=generator, dtype=weight.dtype) * 0.6)
        return model

    return make


@pytest.fixture
def prompts():
    """Three rows of 9, 5 and 2 tokens beside one another, and their padding."""
    tokens = torch.randint(0, VOCAB, (3, 9), generator=torch.Generator().manual_seed(3))
    padding = torch.zeros(3, 9, dtype=torch.bool)
    padding[1, :4] = padding[2, :7] = True
    return tokens, padding
