"""Leaks of planted faults are seen, and a right mask has none, exactly."""

import pytest

from oneblock.compare.measures import leak


@pytest.mark.parametrize("settings", [(), ("position=alibi",), ("block.attention.soft_cap=5",)])
def test_a_right_mask_leaks_nothing(subject, settings):
    found = leak.measure(subject(*settings)).measures
    assert found["leak"] == -16.0 and found["blocked_gradient"] == -16.0
    assert found["leak_gap"] == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("fault", ["no-mask", "mask-after-softmax"])
def test_a_wrong_one_does(subject, fault):
    found = leak.measure(subject(fault=fault)).measures
    assert found["leak"] > -4 and -4 < found["blocked_gradient"] < 0
    assert abs(found["leak_gap"]) > 1e-4
