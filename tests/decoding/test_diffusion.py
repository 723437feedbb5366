"""`draw`: what its randomness depends on, guidance, and what it refuses."""

import pytest
import torch

from oneblock import build
from oneblock.config import DDPM, DiT, RectifiedFlow, dit_block
from oneblock.decoding.diffusion import draw, predictor
from oneblock.decoding.errors import GenerateError
from oneblock.decoding.generate import seed_of_row
from oneblock.decoding.samplers import SAMPLERS


def model_of(**settings):
    plain = {
        "channels": 2, "image_height": 4, "image_width": 6, "patch": 2, "width": 12, "num_layers": 1,
        "blocks": (dit_block(3),), "num_classes": 5, "process": RectifiedFlow(),
    }  # fmt: skip
    model = build(DiT(**plain | settings), seed=0).double()
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


FLOW = model_of()
NOISE = DDPM(num_steps=60, clip=True)
BOTH = [("heun", RectifiedFlow()), ("euler", RectifiedFlow()), ("ancestral", NOISE), ("ddim", NOISE)]


@pytest.mark.parametrize(("sampler", "process"), BOTH)
def test_a_rows_randomness_is_its_own(sampler, process):
    model, settings = model_of(process=process), {"steps": 5, "seed": 3, "sampler": sampler, "guidance": 1.5}
    images = draw(model, [1, 2, 4], **settings)
    assert images.shape == (3, 2, 4, 6) and images.dtype == torch.float64 and model.training
    assert torch.equal(draw(model, torch.tensor([1, 2, 4]), **settings), images)
    for other in (draw(model, [1, 2], **settings), draw(model, [1, 2, 4], **settings, batch_size=2)):
        torch.testing.assert_close(other, images[: len(other)], rtol=1e-9, atol=1e-11)
    assert not torch.allclose(draw(model, [1, 2, 4], **settings | {"seed": 4}), images)
    assert not torch.allclose(draw(model, [3], **settings)[0], images[0])
    assert not torch.allclose(draw(model, [1, 1], **settings)[0], draw(model, [1, 1], **settings)[1])


def test_the_noise_is_the_rows_own_generators():
    class Still(torch.nn.Module):
        def forward(self, x, time, classes):
            return torch.zeros_like(x)

    still = Still()
    still.process, still.config, still.shape, still.head = FLOW.process, FLOW.config, FLOW.shape, FLOW.head
    images = draw(still, [0, 0, 0], seed=8, batch_size=2)
    for row in range(3):
        noise = torch.randn(2, 4, 6, generator=torch.Generator().manual_seed(seed_of_row(8, row)))
        assert torch.equal(images[row], noise.double())


def test_without_a_seed_it_follows_torchs_own():
    torch.manual_seed(1)
    one, other = draw(FLOW, [0], steps=1), draw(FLOW, [0], steps=1)
    torch.manual_seed(1)
    assert torch.equal(draw(FLOW, [0], steps=1), one) and not torch.equal(one, other)


def test_guidance_is_the_line_through_both_answers():
    x, time = torch.randn(3, 2, 4, 6).double(), torch.tensor(0.3)
    classes = torch.tensor([1, 0, 4])
    model = model_of().eval()
    given = model(x, time.expand(3), classes)
    none = model(x, time.expand(3), None)
    for strength in (0.0, 1.0, 1.5, 4.0, -1.0):
        found = predictor(model, classes, strength)(x, time)
        torch.testing.assert_close(found, none + strength * (given - none), rtol=1e-9, atol=1e-11)
    assert torch.equal(predictor(model, classes, 1.0)(x, time), given)


def test_guidance_leaves_a_learned_variance_alone_and_takes_every_channel():
    model = model_of(process=DDPM()).eval()
    x, time, classes = torch.randn(2, 2, 4, 6).double(), torch.tensor(300), torch.tensor([1, 3])
    given, none = (model(x, time.expand(2), labels) for labels in (classes, torch.tensor([5, 5])))
    found = predictor(model, classes, 3.0)(x, time)
    torch.testing.assert_close(found[:, :2], none[:, :2] + 3 * (given[:, :2] - none[:, :2]), rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(found[:, 2:], given[:, 2:], rtol=1e-9, atol=1e-11)


def test_it_draws_in_eval_mode_and_without_gradients():
    model, modes = model_of(class_dropout=0.9), []
    model.register_forward_hook(lambda module, given, out: modes.append((module.training, out.requires_grad)))
    draw(model, [1], steps=2)
    assert set(modes) == {(False, False)} and model.training


def test_usual_settings():
    for process, evaluations in ((RectifiedFlow(), 2 * SAMPLERS["heun"].steps), (DDPM(), SAMPLERS["ancestral"].steps)):
        model, calls = model_of(process=process), []
        model.register_forward_hook(lambda module, given, out: calls.append(1))
        draw(model, [1])
        assert len(calls) == evaluations
    short, calls = model_of(process=DDPM(num_steps=30)), []
    short.register_forward_hook(lambda module, given, out: calls.append(1))
    draw(short, [1])
    assert len(calls) == 30


def test_no_class():
    none = draw(FLOW, None, count=2, seed=1, steps=3)
    assert torch.equal(none, draw(FLOW, [5, 5], seed=1, steps=3))
    free = model_of(num_classes=None)
    assert draw(free, count=3, steps=2).shape == (3, 2, 4, 6)
    with pytest.raises(GenerateError, match="have no classes"):
        draw(free, [1])
    with pytest.raises(GenerateError, match="knows no image without a class"):
        draw(model_of(class_dropout=0.0), count=2)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sampler": "ddim"}, "sampler='ddim' is not one for RectifiedFlow.* try heun or euler"),
        ({"sampler": "best"}, "sampler='best' is not one"),
        ({"steps": 0}, "steps=0 must be a whole number of at least 1"),
        ({"steps": 2.5}, "steps=2.5 must be"),
        ({"seed": -1}, "seed=-1"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"guidance": float("inf")}, "guidance=inf must be a number"),
        ({"guidance": True}, "guidance=True must be a number"),
        ({"classes": [6]}, "class 6 is not one of the model's, 0…4, or 5: no class"),
        ({"classes": [-1]}, "class -1"),
        ({"classes": []}, "must be whole numbers, one for each image"),
        ({"classes": [1.0]}, "must be whole numbers"),
        ({"classes": None, "count": 0}, "count=0"),
    ],
)
def test_what_it_refuses(settings, says):
    with pytest.raises(GenerateError, match=says):
        draw(FLOW, **{"classes": [1]} | settings)


def test_more_steps_than_there_are():
    with pytest.raises(GenerateError, match="steps=61 is more than the 60 .* ancestral takes 1 to 60"):
        draw(model_of(process=NOISE), [1], steps=61)


def test_guidance_needs_a_model_that_knows_no_class():
    with pytest.raises(GenerateError, match="class_dropout=0"):
        draw(model_of(class_dropout=0.0), [1], guidance=2.0)
    assert draw(model_of(class_dropout=0.0), [1], steps=1).shape == (1, 2, 4, 6)


def test_an_answer_that_is_no_number():
    broken = model_of()
    with torch.no_grad():
        broken.head.bias.fill_(float("nan"))
    with pytest.raises(GenerateError, match="NaN or infinite"):
        draw(broken, [1], steps=1)
