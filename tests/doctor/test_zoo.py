"""Faults that must be found, by the check that should; healthy models that must not alarm."""

import doctor_zoo as zoo
import pytest
import torch

from oneblock.doctor import examine
from oneblock.doctor.checks import CHECKS

QUICK = [name for name in CHECKS if name not in zoo.TRAINING]


@pytest.mark.parametrize(("host", "fault", "wanted"), zoo.FAULTS)
def test_a_fault_is_found(host, fault, wanted):
    report = examine(zoo.ill(host, fault), only=wanted.split())
    status = "WARN" if fault in zoo.WARNED else "FAIL"
    (found, *_) = [each for each in report.checks if each.status == status] or [None]
    assert found is not None, report
    assert found.message and (found.repair or found.id in ("I2", "O1")), "a fault is told with its repair"
    assert found.reproduce == f"oneblock.doctor.examine(model, only=[{found.id!r}], seed=0)"
    assert report.healthy is (status == "WARN")


@pytest.mark.parametrize(("host", "variant"), zoo.HEALTHY)
def test_a_healthy_model_does_not_alarm(host, variant):
    report = examine(zoo.ill(host, variant))
    assert report.healthy and not [each for each in report.checks if each.status == "WARN"], report
    assert not [each for each in report.checks if "could not be asked" in each.message], report


@pytest.mark.parametrize("name", zoo.PRESETS)
def test_a_preset_does_not_alarm(name):
    report = examine(zoo.preset(name), only=QUICK)
    assert report.healthy, report
    assert not [each for each in report.checks if "could not be asked" in each.message], report
    # The original Transformer's tied table, drawn by Xavier and scaled up, starts a little above chance.
    assert [each.id for each in report.checks if each.status == "WARN"] in ([], ["I2"]), report


@pytest.mark.parametrize("name", zoo.VARIANTS)
def test_an_option_does_not_alarm(name):
    report = examine(zoo.variant(name), only=QUICK)
    assert not [each for each in report.checks if each.status in ("FAIL", "WARN")], report


@pytest.mark.parametrize(("host", "fault"), [("Gpt", "no mask"), ("Gpt", "labels not shifted")])
def test_what_cannot_be_learnt_is_learnt_only_by_cheating(host, fault):
    (found,) = examine(zoo.ill(host, fault), only=["I3"]).checks
    assert (found.status, found.value < found.threshold) == ("FAIL", True)


def test_another_seed_finds_the_same():
    for seed in (1, 2):
        assert examine(zoo.ill("Gpt", ""), seed=seed, only=QUICK).healthy
        assert not examine(zoo.ill("Gpt", "mask one too far"), seed=seed, only=["C1"]).healthy


def test_where_a_leak_is_on_one_path_only_it_says_which():
    (found,) = examine(zoo.ill("Gpt", "no mask beyond 64"), only=["C1"]).checks
    assert "66 tokens" in found.where and "11 tokens" not in found.where
    (found,) = examine(zoo.ill("Gpt", "no mask in training"), only=["C1"]).checks
    assert found.where.startswith("train") and "eval" not in found.where
    (found,) = examine(zoo.ill("Gpt", "mask one too far"), only=["C1"]).checks
    assert "up to" in found.message


@torch.no_grad()
def test_a_zero_projection_hides_nothing():
    model = zoo.ill("Gpt", "no mask")
    for block in model.blocks:
        block.attn.out.weight.zero_()
        block.attn.out.bias.zero_()
    assert not examine(model, only=["C1"]).healthy
