"""Faults that were thought of apart from the checks, on other hosts: told by the check that should."""

import doctor_blind as blind
import pytest

from oneblock.doctor import examine
from oneblock.doctor.checks import CHECKS

QUICK = [name for name in CHECKS if name not in ("I3", "O1")]


def told(fault, wanted, model, again=None):
    report = examine(model, only=wanted.split(), again=again)
    statuses = ("FAIL", "WARN") if fault in blind.WARNED else ("FAIL",)
    found = [each for each in report.checks if each.status in statuses]
    assert found, report
    return found[0]


@pytest.mark.parametrize(("fault", "wanted", "options"), blind.FAULTS, ids=[row[0] for row in blind.FAULTS])
def test_a_fault_is_told(fault, wanted, options):
    assert told(fault, wanted, blind.ill(fault, **options), blind.again(fault, options)).message


@pytest.mark.parametrize(("fault", "wanted"), blind.PAIRS, ids=[row[0] for row in blind.PAIRS])
def test_a_fault_of_an_encoder_decoder_is_told(fault, wanted):
    assert told(fault, wanted, blind.ill_pair(fault)).message


@pytest.mark.parametrize("options", blind.HEALTHY, ids=str)
def test_a_healthy_host_does_not_alarm(options):
    report = examine(blind.ill("", **options), only=QUICK)
    assert not [each for each in report.checks if each.status in ("FAIL", "WARN")], report
    assert not [each for each in report.checks if "could not be asked" in each.message], report


def test_a_healthy_encoder_decoder_does_not_alarm():
    report = examine(blind.ill_pair(""), only=QUICK)
    assert not [each for each in report.checks if each.status in ("FAIL", "WARN")], report


@pytest.mark.parametrize(
    ("fault", "check", "module"),
    [
        ("key norm over tokens", "C1", "blocks.0.attn"),
        ("router over tokens", "B1", "blocks.0.mlp"),
        ("keys begin anew with a cache", "K1", "blocks.0.attn"),
        ("values tiled, keys in blocks", "G1", "blocks.0.attn"),
        ("gate twice, no up", "W2", "blocks.0.mlp.up"),
    ],
)
def test_a_fault_is_told_with_its_module_and_line(fault, check, module):
    options = {"experts": 4} if "router" in fault else {}
    (found,) = examine(blind.ill(fault, **options), only=[check]).checks
    assert found.where.startswith(module), found.where
    assert "doctor_modern.py:" in found.where


def test_a_mask_that_leaks_is_told_with_the_line_of_its_softmax():
    (found,) = examine(blind.ill("mask of the first call kept"), only=["C1"]).checks
    assert found.status == "FAIL" and "tokens" in found.where
    (found,) = examine(blind.ill_pair("decoder without mask"), only=["C1"]).checks
    assert found.where.startswith("decoder.0.self_attn")
