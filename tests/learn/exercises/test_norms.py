"""The two norms: the reference against what others compute."""

import torch

from oneblock.learn.exercises import text_of


def test_the_reference_is_torchs_own():
    x, weight, bias = torch.randn(3, 5, 7).double(), torch.randn(7).double(), torch.randn(7).double()
    names: dict = {}
    exec(text_of("norms", "reference"), names)
    right = torch.nn.functional.layer_norm(x, (7,), weight, bias, 0.1)
    torch.testing.assert_close(names["layer_norm"](x, weight, bias, 0.1), right)
    torch.testing.assert_close(names["rms_norm"](x, weight, 0.1), torch.nn.functional.rms_norm(x, (7,), weight, 0.1))
