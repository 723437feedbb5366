"""The loss: the reference against what others compute."""

import pytest
import torch

from oneblock.learn.exercises import text_of


@pytest.mark.parametrize("pad", [None, 0, 3])
def test_the_reference_is_torchs_own(pad):
    names: dict = {}
    exec(text_of("loss", "reference"), names)
    logits, tokens = torch.randn(3, 7, 5).double(), torch.randint(0, 5, (3, 7))
    ignored = {} if pad is None else {"ignore_index": pad}
    right = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten(), **ignored)
    torch.testing.assert_close(names["next_token_loss"](logits, tokens, pad), right)
