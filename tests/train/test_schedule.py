import itertools
import math

import pytest

from oneblock.config.errors import ConfigError, OneblockError
from oneblock.train.schedule import constant, cosine, wsd


@pytest.mark.parametrize(("step", "rate"), [(0, 9.900990099e-6), (100, 1e-3), (2550, 5.5e-4), (5000, 1e-4)])
def test_cosine_gives_the_published_vectors(step, rate):
    assert 1e-3 * cosine(step, 5000, warmup=100, final=0.1) == pytest.approx(rate, rel=1e-9)


def nanogpt_rate(it, lr, min_lr, warmup_iters, decay_iters):
    """The textbook rule, written from its description with absolute rates."""
    if it < warmup_iters:
        return lr * (it + 1) / (warmup_iters + 1)
    if it > decay_iters:
        return min_lr
    ratio = (it - warmup_iters) / (decay_iters - warmup_iters)
    return min_lr + (math.cos(math.pi * ratio) + 1) / 2 * (lr - min_lr)


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_cosine_equals_the_rule_with_absolute_rates_at_every_step(warmup):
    for step in range(60):
        expected = nanogpt_rate(step, 3e-3, 3e-5, warmup, 53)
        assert 3e-3 * cosine(step, 53, warmup, 0.01) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", ["linear", "one-minus-sqrt"])
def test_wsd_warms_up_stays_and_decays(shape):
    factors = [wsd(step, 100, warmup=7, decay_share=0.2, final=0.05, shape=shape) for step in range(105)]
    assert factors[:8] == pytest.approx([(i + 1) / 8 for i in range(8)])
    assert factors[7:81] == [1.0] * 74
    assert all(a > b for a, b in itertools.pairwise(factors[80:101]))
    assert factors[100:] == pytest.approx([0.05] * 5)
    quarter = 1 - 0.95 * (0.25 if shape == "linear" else 0.5)
    assert factors[85] == pytest.approx(quarter)


def test_the_root_falls_faster_at_first_and_both_end_together():
    assert wsd(81, 100, 0, 0.2, 0.0, "one-minus-sqrt") < wsd(81, 100, 0, 0.2, 0.0, "linear")
    assert wsd(100, 100, 0, 0.2, 0.0, "one-minus-sqrt") == wsd(100, 100, 0, 0.2, 0.0, "linear") == 0.0


def test_wsd_without_decay_is_constant_and_with_all_decay_starts_after_the_warmup():
    assert [wsd(s, 11, 3, 0.0) for s in range(20)] == [constant(s, 11, 3) for s in range(20)]
    assert wsd(3, 11, 3, 1.0) == 1.0
    assert wsd(7, 11, 3, 1.0) == pytest.approx(0.5)


def test_constant_warms_up_and_stays():
    assert [constant(step, 9, 3) for step in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]


@pytest.mark.parametrize("schedule", [cosine, wsd, constant])
@pytest.mark.parametrize("total", range(1, 30))
def test_every_run_however_short_reaches_the_peak_and_no_more(schedule, total):
    factors = [schedule(step, total, 13) for step in range(total)]
    assert max(factors) == 1.0
    assert min(factors) > 0.0


def test_a_warmup_longer_than_the_run_is_cut_to_half_of_it():
    assert [cosine(step, 10, 50) for step in range(10)] == [cosine(step, 10, 5) for step in range(10)]


@pytest.mark.parametrize(
    ("call", "path"),
    [
        (lambda: cosine(-1, 10), "step"),
        (lambda: cosine(0, 0), "total"),
        (lambda: cosine(0, 10, -1), "warmup"),
        (lambda: cosine(0, 10, 0, 1.5), "final"),
        (lambda: cosine(0, 10, 0, math.nan), "final"),
        (lambda: wsd(0, 10, 0, -0.1), "decay_share"),
        (lambda: wsd(0, 10, 0, 0.1, 2.0), "final"),
        (lambda: wsd(0, 10, shape="cubic"), "shape"),
        (lambda: constant(0, 0), "total"),
    ],
)
def test_values_out_of_bounds_are_refused_by_name(call, path):
    with pytest.raises(ConfigError) as caught:
        call()
    assert caught.value.path == path
    assert isinstance(caught.value, OneblockError)
