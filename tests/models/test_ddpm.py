"""DDPM: its shares of noise, the step back, the learned variance and its bound."""

import math

import pytest
import torch

from oneblock import config
from oneblock.models.ddpm import DDPM, grey_cost
from oneblock.models.diffusion import denoising_losses, from_pixels, make_process, to_pixels

PROCESS = DDPM(config.DDPM())


def images(count=3, seed=0):
    return torch.randn(count, 2, 3, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_shares_of_noise():
    s = PROCESS.schedule
    expected = {0: 0.9999, 249: 0.5240853739, 499: 0.0785872429, 749: 0.0033505504, 999: 4.0358297654e-5}
    for index, value in expected.items():
        assert s.alpha_bar[index].item() == pytest.approx(value, rel=2e-9 if index else 1e-12, abs=6e-11)
    assert s.alpha_bar[999].sqrt().item() == pytest.approx(0.0063528181, abs=1e-10)
    assert (s.beta[0].item(), s.beta[-1].item(), len(s.beta)) == (1e-4, pytest.approx(2e-2), 1000)


def test_posterior():
    s = PROCESS.schedule
    assert s.log_posterior[1].item() == pytest.approx(-9.8167251, abs=1e-7)
    assert s.log_posterior[1].exp().item() == pytest.approx(5.45318766e-5, rel=1e-8)
    assert s.log_posterior[0] == s.log_posterior[1]
    assert s.from_x0[500].item() == pytest.approx(0.0030580571, abs=1e-10)
    assert s.from_xt[500].item() == pytest.approx(0.9941043508, abs=1e-10)
    assert s.from_x0[0].item() == pytest.approx(1) and s.from_xt[0] == 0


def test_posterior_is_bayes():
    """q(x_{t−1} | x_t, x_0) from the product of two normals."""
    s, t = PROCESS.schedule, 437
    beta, before = s.beta[t].item(), s.before[t].item()
    precision = (1 - beta) / beta + 1 / (1 - before)
    x0, x = images(1), images(1, seed=1)
    mean, log_variance = PROCESS.posterior(x0, x, torch.tensor([t]))
    expected = (math.sqrt(1 - beta) / beta * x + math.sqrt(before) / (1 - before) * x0) / precision
    torch.testing.assert_close(mean, expected, rtol=1e-10, atol=0)
    assert log_variance.item() == pytest.approx(-math.log(precision))


def test_other_numbers_of_steps_end_at_the_same_noise():
    for steps in (100, 4000):
        s = DDPM(config.DDPM(num_steps=steps)).schedule
        assert s.beta[0].item() == pytest.approx(0.1 / steps) and s.beta[-1].item() == pytest.approx(20 / steps)
        assert s.alpha_bar[-1].log().item() == pytest.approx(math.log(4.0358e-5), rel=0.12)


def test_noised_and_back():
    x0, noise, time = images(), images(seed=1), torch.tensor([0, 499, 999])
    x = PROCESS.noised(x0, time, noise)
    share = PROCESS.schedule.alpha_bar[time].view(3, 1, 1, 1)
    torch.testing.assert_close(x, share.sqrt() * x0 + (1 - share).sqrt() * noise)
    torch.testing.assert_close(PROCESS.foreseen(x, noise, time, PROCESS.schedule), x0, rtol=1e-9, atol=1e-9)
    assert PROCESS.noised(x0.float(), time, noise.float()).dtype == torch.float32
    clipped = DDPM(config.DDPM(clip=True)).foreseen(x, noise, time, PROCESS.schedule)
    torch.testing.assert_close(clipped, x0.clamp(-1, 1), rtol=1e-9, atol=1e-9)
    assert torch.equal(PROCESS.target(x0, noise), noise)


def test_learned_variance_lies_between_beta_and_the_posteriors():
    x, epsilon, time = images(), images(seed=1), torch.tensor([1, 500, 999])
    s = PROCESS.schedule
    for value, expected in ((1, s.beta.log()), (-1, s.log_posterior), (0, (s.beta.log() + s.log_posterior) / 2)):
        answer = torch.cat([epsilon, torch.full_like(epsilon, value)], dim=1)
        mean, log_variance = PROCESS.back(answer, x, time)
        torch.testing.assert_close(log_variance, expected[time].view(3, 1, 1, 1).expand_as(x))
        foreseen = PROCESS.foreseen(x, epsilon, time, s)
        torch.testing.assert_close(mean, PROCESS.posterior(foreseen, x, time)[0])
    for name, table in (("beta", s.beta.log()), ("posterior", s.log_posterior)):
        found = DDPM(config.DDPM(variance=name)).back(epsilon, x, time)[1]
        torch.testing.assert_close(found.flatten(), table[time])


def test_respacing_keeps_the_shares_of_the_steps_it_keeps():
    few = PROCESS.schedule.respaced(7)
    assert few.times.tolist() == [0, 166, 333, 500, 666, 832, 999]
    torch.testing.assert_close(few.alpha_bar, PROCESS.schedule.alpha_bar[few.times], rtol=1e-12, atol=0)
    torch.testing.assert_close((1 - few.beta).cumprod(0), few.alpha_bar, rtol=1e-12, atol=0)
    same = PROCESS.schedule.respaced(1000)
    torch.testing.assert_close(same.beta, PROCESS.schedule.beta, rtol=1e-9, atol=0)
    assert PROCESS.schedule.respaced(1).times.tolist() == [999]


def test_the_bound_is_the_divergence_of_two_normals():
    x0, noise, time = images(), images(seed=1), torch.tensor([1, 321, 999])
    x = PROCESS.noised(x0, time, noise)
    answer = torch.cat([noise + 0.3 * images(seed=2), images(seed=3)], dim=1)
    mean, log_variance = PROCESS.back(answer, x, time)
    true, true_log = PROCESS.posterior(x0, x, time)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(true, (true_log / 2).exp().expand_as(true)),
        torch.distributions.Normal(mean, (log_variance / 2).exp()),
    )
    torch.testing.assert_close(PROCESS.bound(answer, x0, x, time), expected.flatten(1).mean(1) / math.log(2))
    perfect = torch.cat([noise, -torch.ones_like(noise)], dim=1)
    assert PROCESS.bound(perfect, x0, x, time).abs().max() < 1e-12


def test_at_the_first_step_the_bound_is_the_images_own_cost():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    values = from_pixels(pixels, torch.float64)
    mean, log_variance = torch.tensor(0.3).double(), torch.tensor(-1.1).double()
    mass = (-grey_cost(values, mean.expand_as(values), log_variance.expand_as(values))).exp()
    assert mass.sum().item() == pytest.approx(1, abs=1e-9)
    density = torch.distributions.Normal(mean, (log_variance / 2).exp())
    middle = density.log_prob(values).exp() * 2 / 255
    torch.testing.assert_close(mass.flatten()[1:-1], middle.flatten()[1:-1], rtol=1e-4, atol=0)
    x0 = values.float().double()
    noise = torch.randn_like(x0)
    time = torch.tensor([0])
    x = PROCESS.noised(x0, time, noise)
    answer = torch.cat([noise, torch.zeros_like(noise)], dim=1)
    found = PROCESS.bound(answer, x0, x, time)
    back = PROCESS.back(answer, x, time)
    assert found.item() == pytest.approx((grey_cost(x0, *back).mean() / math.log(2)).item())


def test_the_loss_is_the_square_and_a_bound_that_teaches_the_variance_alone():
    x0, noise, time = images(), images(seed=1), torch.tensor([0, 321, 999])
    answer = torch.cat([images(seed=2), images(seed=3)], dim=1).requires_grad_()
    losses = PROCESS.losses(answer, x0, time, noise)
    bound = PROCESS.bound(answer.detach(), x0, PROCESS.noised(x0, time, noise), time)
    square = (answer[:, :2].detach() - noise).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(losses.detach(), square + bound)
    losses.sum().backward()
    torch.testing.assert_close(answer.grad[:, :2], 2 * (answer[:, :2].detach() - noise) / noise[0].numel())
    assert answer.grad[:, 2:].abs().amax(dim=(1, 2, 3)).min() > 0
    quick = DDPM(config.DDPM(num_steps=100))
    short = torch.tensor([0, 32, 99])
    extra = quick.losses(answer.detach(), x0, short, noise) - square
    bound = quick.bound(answer.detach(), x0, quick.noised(x0, short, noise), short)
    torch.testing.assert_close(extra, 0.1 * bound, rtol=1e-8, atol=1e-10)


def test_times_and_noise_come_from_the_generator():
    process = make_process(config.DDPM(num_steps=30, variance="beta"))
    x0 = images(4001).float()
    one, other = (process.draw(x0, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    time, noise = one
    assert time.min() == 0 and time.max() == 29 and time.float().mean().item() == pytest.approx(14.5, abs=0.5)
    assert noise.shape == x0.shape and noise.dtype == x0.dtype and noise.std().item() == pytest.approx(1, abs=0.02)

    def model(x, t, classes):
        assert torch.equal(t, time) and classes is None
        torch.testing.assert_close(x, process.noised(x0, time, noise))
        return noise + 2

    assert denoising_losses(model, process, x0, None, torch.Generator().manual_seed(5)).tolist() == pytest.approx(
        [4.0] * 4001, abs=1e-4
    )


def test_pixels_there_and_back():
    pixels = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    values = from_pixels(pixels)
    assert values.shape == (1, 1, 16, 16) and (values.min(), values.max()) == (-1, 1)
    assert torch.equal(to_pixels(values)[:, 0], pixels)
    assert to_pixels(torch.tensor([-7.0, 7.0])).tolist() == [0, 255]
    with pytest.raises(ValueError, match="pixels must be bytes"):
        from_pixels(values)
