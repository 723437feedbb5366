"""bfloat16 with float32 weights: what is rounded, where gradients arrive."""

import pytest
import torch

from oneblock.models.build import build
from oneblock.train.loss import cross_entropy
from oneblock.train.precision import InPrecision


def made(small, *settings):
    model = build(small("recipe.steps=1", "vocab_size=11", "num_layers=2", *settings).model, seed=1)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    ids = torch.randint(11, (5, 9), generator=torch.Generator().manual_seed(2))
    return model, ids[:, :-1], ids[:, 1:]


def test_float32_is_the_model_itself(small):
    model, inputs, _ = made(small)
    assert torch.equal(InPrecision(model, torch.float32)(inputs), model(inputs))


def test_all_but_the_norms_is_rounded_also_where_weights_are_tied(small):
    for tied in ("true", "false"):
        model, *_ = made(small, f"tied={tied}", "block.norm=layer")
        rounded = {id(model.get_parameter(name)) for name in InPrecision(model, torch.bfloat16).rounded}
        kept = [name for name, parameter in model.named_parameters() if id(parameter) not in rounded]
        assert kept and all("norm" in name for name in kept)


def test_a_pass_is_that_of_rounded_weights(small):
    model, inputs, _ = made(small)
    rounded = made(small)[0]
    forward = InPrecision(model, torch.bfloat16)
    with torch.no_grad():
        for name in forward.rounded:
            rounded.get_parameter(name).copy_(model.get_parameter(name).bfloat16())
    found = forward(inputs)
    assert found.dtype == torch.bfloat16
    exact = rounded.double()(inputs)
    assert (found.double() - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("tied", ["true", "false"])
def test_gradients_arrive_at_the_float32_weights(small, tied):
    model, inputs, targets = made(small, f"tied={tied}")
    cross_entropy(InPrecision(model, torch.bfloat16)(inputs), targets).backward()
    found = {name: parameter.grad.clone() for name, parameter in model.named_parameters()}
    model.double().zero_grad()
    cross_entropy(model(inputs), targets).backward()
    for name, parameter in model.named_parameters():
        assert found[name].dtype == torch.float32
        error = (found[name] - parameter.grad).norm() / parameter.grad.norm()
        assert error < 0.05, (name, float(error))


def test_the_weights_stay_as_they_are(small):
    model, inputs, _ = made(small)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    InPrecision(model, torch.bfloat16)(inputs)
    for name, tensor in model.state_dict().items():
        assert tensor.dtype == torch.float32 and torch.equal(tensor, before[name])
