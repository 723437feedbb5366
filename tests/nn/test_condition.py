"""Time and class as one vector."""

import pytest
import torch

from oneblock.nn.condition import ClassEmbedding, Condition, NoClasses, TimeEmbedding


def test_waves_of_time():
    found = TimeEmbedding(4, 3).waves(torch.tensor([1, 0]))
    expected = torch.tensor([[0.540302, 0.999950, 0.841471, 0.010000], [1, 1, 0, 0]]).double()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    whole = TimeEmbedding(256, 3).waves(torch.tensor([999]))
    assert whole.shape == (1, 256)
    assert whole[0, 127].item() == pytest.approx(torch.tensor(999 * 1e4 ** (-127 / 128)).double().cos().item(), 1e-5)


def test_time_may_be_a_share_and_is_scaled():
    share, whole = TimeEmbedding(6, 3, scale=1000.0), TimeEmbedding(6, 3)
    torch.testing.assert_close(share.waves(torch.tensor([0.25])), whole.waves(torch.tensor([250])))


def test_two_matrices_with_silu_between():
    module = TimeEmbedding(6, 5).double()
    hidden = module.waves(torch.tensor([7])) @ module.up.weight.T + module.up.bias
    expected = (hidden * hidden.sigmoid()) @ module.down.weight.T + module.down.bias
    torch.testing.assert_close(module(torch.tensor([7])), expected)


def test_labels_are_dropped_in_training_only_and_as_often_as_said():
    module, c = ClassEmbedding(3, 1, 0.1), torch.zeros(9973, 1)
    assert module.weight.shape == (4, 1)
    with torch.no_grad():
        module.weight.copy_(torch.arange(4.0)[:, None])
    classes = torch.ones(9973, dtype=torch.long)
    torch.manual_seed(0)
    shares = [(module(c, classes) == value).float().mean().item() for value in (1, 3)]
    assert shares[0] == pytest.approx(0.9, abs=0.01) and shares[1] == pytest.approx(0.1, abs=0.01)
    assert (module.eval()(c, classes) == 1).all()
    assert (classes == 1).all()


def test_no_class_is_the_last_label_and_is_what_none_means():
    module = ClassEmbedding(3, 2, 0.1).eval()
    c = torch.zeros(2, 2)
    assert torch.equal(module(c, None), module(c, torch.tensor([3, 3])))
    without = ClassEmbedding(3, 2, 0.0)
    assert without.weight.shape == (3, 2)
    with pytest.raises(ValueError, match="class 3 is not one of the model's, 0…2; this model knows no image without"):
        without(c, None)


@pytest.mark.parametrize("wrong", [-1, 4, 77])
def test_a_class_that_there_is_not(wrong):
    with pytest.raises(ValueError, match=f"class {wrong} is not one of the model's, 0…2, or 3: no class"):
        ClassEmbedding(3, 2, 0.1)(torch.zeros(2, 2), torch.tensor([0, wrong]))


def test_the_sum_and_a_model_without_classes():
    time, classes, t = TimeEmbedding(6, 5), ClassEmbedding(3, 5, 0.1).eval(), torch.tensor([4, 9])
    c = Condition(time, classes)(t, torch.tensor([2, 0]))
    torch.testing.assert_close(c, time(t) + classes.weight[[2, 0]])
    assert torch.equal(Condition(time, NoClasses())(t, None), time(t))
    with pytest.raises(ValueError, match="model without classes"):
        Condition(time, NoClasses())(t, torch.tensor([1, 2]))
