"""Samplers on data whose answer is known: a normal, N(mean, spread²), for which ε and the velocity are linear in x."""

import pytest
import torch

from oneblock import config
from oneblock.decoding.samplers import SAMPLERS, ancestral, ddim, euler, heun
from oneblock.models.ddpm import DDPM
from oneblock.models.flow import RectifiedFlow

MEAN, SPREAD = 0.7, 0.4
SHAPE = (50, 1, 29, 31)


def noise_of(seed):
    generator = torch.Generator().manual_seed(seed)
    return lambda: torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def velocity(x, time):
    """E[x0 − ε | x_t] where x_t = t·x0 + (1 − t)·ε."""
    t = time.item()
    variance = t**2 * SPREAD**2 + (1 - t) ** 2
    return MEAN + (t * SPREAD**2 - (1 - t)) / variance * (x - t * MEAN)


def epsilon(process):
    """E[ε | x_t], and behind it a variance half way."""

    def predict(x, time):
        share = process.schedule.alpha_bar[time]
        variance = share * SPREAD**2 + 1 - share
        said = (1 - share).sqrt() / variance * (x - share.sqrt() * MEAN)
        return said if process.option.variance != "learned" else torch.cat([said, torch.zeros_like(said)], 1)

    return predict


def exact(x, share):
    """Where the probability flow brings x from a share ᾱ of variance: along the same quantile."""
    return MEAN + SPREAD * (x - share**0.5 * MEAN) / (share * SPREAD**2 + 1 - share) ** 0.5


def moments(x):
    return x.mean().item(), x.std().item()


@pytest.mark.parametrize(("sampler", "steps"), [(euler, 400), (heun, 40)])
@pytest.mark.parametrize("shift", [1.0, 2.5])
def test_flow_finds_mean_and_spread(sampler, steps, shift):
    x = sampler(RectifiedFlow(config.RectifiedFlow(shift=shift)), velocity, noise_of(0)(), steps, noise_of(1))
    assert moments(x) == (pytest.approx(MEAN, abs=0.01), pytest.approx(SPREAD, rel=0.02))


def errors(sampler, counts):
    start = noise_of(0)()
    end = MEAN + SPREAD * start
    found = [sampler(RectifiedFlow(config.RectifiedFlow()), velocity, start, count, noise_of(1)) for count in counts]
    return [(x - end).abs().mean().item() for x in found]


def test_heuns_error_falls_with_the_square_and_eulers_as_one_over_the_steps():
    first, second = errors(euler, (20, 40))
    assert second == pytest.approx(first / 2, rel=0.1)
    first, second = errors(heun, (20, 40))
    assert second == pytest.approx(first / 4, rel=0.2)


def test_heun_beats_euler_with_as_many_answers():
    assert errors(heun, (10,))[0] < 0.2 * errors(euler, (20,))[0]


@pytest.mark.parametrize("variance", ["learned", "posterior", "beta"])
def test_ancestral_finds_mean_and_spread(variance):
    process = DDPM(config.DDPM(num_steps=300, variance=variance))
    x = ancestral(process, epsilon(process), noise_of(0)(), 300, noise_of(1))
    assert moments(x) == (pytest.approx(MEAN, abs=0.01), pytest.approx(SPREAD, rel=0.03))


def test_fewer_steps_are_nearly_as_good():
    process = DDPM(config.DDPM(variance="posterior"))
    x = ancestral(process, epsilon(process), noise_of(0)(), 80, noise_of(1))
    assert moments(x) == (pytest.approx(MEAN, abs=0.02), pytest.approx(SPREAD, rel=0.1))


def test_ddim_goes_to_the_same_quantile():
    process, start = DDPM(config.DDPM()), noise_of(0)()
    last = process.schedule.alpha_bar[-1].item()
    far, near = (
        (ddim(process, epsilon(process), start, count, noise_of(1)) - exact(start, last)).abs().mean().item()
        for count in (50, 400)
    )
    assert near < 0.2 * far and far < 0.05 and near < 0.005


def test_the_model_is_told_the_times_it_was_trained_at():
    def told(sampler, process, steps):
        times = []

        def predict(x, time):
            times.append(time.item())
            return torch.zeros_like(x)

        sampler(process, predict, torch.zeros(1, 1, 1, 1), steps, lambda: torch.zeros(1, 1, 1, 1))
        return times

    process = DDPM(config.DDPM(variance="beta"))
    assert told(ancestral, process, 4) == told(ddim, process, 4) == [999, 666, 333, 0]
    flow = RectifiedFlow(config.RectifiedFlow())
    assert told(euler, flow, 4) == [0, 0.25, 0.5, 0.75]
    assert told(heun, flow, 2) == [0, 0.5, 0.5, 1]


def test_noise_is_added_at_every_step_but_the_last():
    process, calls = DDPM(config.DDPM(variance="beta")), []

    def noise():
        calls.append(1)
        return torch.zeros(1, 1, 1, 1)

    for sampler, expected in ((ancestral, 4), (ddim, 0)):
        calls.clear()
        sampler(process, lambda x, time: torch.zeros_like(x), torch.zeros(1, 1, 1, 1), 5, noise)
        assert len(calls) == expected


def test_what_is_foreseen_is_held_where_the_process_clips():
    for sampler in (ancestral, ddim):
        ends = []
        for clip in (False, True):
            process = DDPM(config.DDPM(variance="posterior", clip=clip))
            ends.append(sampler(process, lambda x, time: -3 * x, noise_of(0)()[:2], 20, lambda: 0.0))
        assert ends[0].abs().max() > 2 and ends[1].abs().max() <= 1 + 1e-9


def test_one_list_of_samplers_for_each_process():
    assert {name: one.process for name, one in SAMPLERS.items()} == {
        "ancestral": DDPM, "ddim": DDPM, "euler": RectifiedFlow, "heun": RectifiedFlow,
    }  # fmt: skip
    assert SAMPLERS["ddim"].most(DDPM(config.DDPM(num_steps=77))) == 77
