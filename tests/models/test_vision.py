import pytest
import torch

import oneblock
from oneblock.config import ConfigError, OneblockError, Scaled, Vision, from_dict, override, to_dict, vision_block
from oneblock.inspect.statistics import parameters, parts


def config(**more):
    given = {
        "channels": 2, "image_height": 15, "image_width": 10, "patch": 5, "width": 21, "num_layers": 3,
        "blocks": (vision_block(3),),
    }  # fmt: skip
    return Vision(**given | more)


def stirred(option):
    model = oneblock.build(option, seed=1)
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.double().eval()


def images(*sizes, batch=2):
    return torch.randn(batch, 2, *(sizes or (15, 10)), dtype=torch.float64)


KINDS = {
    "vectors": config(),
    "classes": config(num_classes=7),
    "class and mean": config(num_classes=7, head_reads="class_and_mean"),
    "without places": override(config(), "position=none"),
    "scaled, gated": override(
        config(), "block.residual=scaled", "block.residual.learned=vector", "block.feed_forward=swiglu"
    ),
    "experts": override(config(), "block.feed_forward=top_k"),
}
EACH = pytest.mark.parametrize("option", KINDS.values(), ids=KINDS)


@EACH
def test_shapes_and_a_batch_is_its_rows(option):
    model, x = stirred(option), images(batch=3)
    told = model(x)
    assert told.shape == ((3, 7) if option.num_classes else (3, 1 + 3 * 2, 21))
    for row in range(3):
        torch.testing.assert_close(model(x[row : row + 1])[0], told[row], rtol=1e-12, atol=1e-12)


@EACH
def test_every_parameter_is_counted_and_gets_a_gradient(option):
    model = stirred(option)
    assert parts(model) == parameters(option)
    model(images(batch=5)).square().sum().backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in model.parameters())
    assert all(one.grad.abs().sum() > 0 for name, one in model.named_parameters() if "experts" not in name)


@EACH
def test_attention_written_out_is_the_same(option):
    model = stirred(option)
    plain = oneblock.build(option, fused=False).double().eval()
    plain.load_state_dict(model.state_dict())
    x = images()
    torch.testing.assert_close(plain(x), model(x), rtol=1e-11, atol=1e-11)


def test_every_patch_sees_every_other_and_the_class_token_comes_first():
    model, x = stirred(config()), images()
    other = x.clone()
    other[:, :, 10:, 5:] += 1  # the last patch
    assert (model(other) - model(x)).abs().amax(dim=(0, 2)).min() > 1e-6
    with torch.no_grad():
        model.class_token.weight.add_(1.0)
        moved = model.embed(x, (3, 2)) - stirred(config()).embed(x, (3, 2))
    assert (moved[:, 0] - 1).abs().max() < 1e-12 and moved[:, 1:].abs().max() == 0


def test_without_places_the_patches_are_a_set():
    model, x = stirred(KINDS["without places"]), images()
    swapped = x.clone()
    swapped[:, :, :5, :5], swapped[:, :, 10:, 5:] = x[:, :, 10:, 5:], x[:, :, :5, :5]
    told, other = model(x), model(swapped)
    order = [0, 6, 2, 3, 4, 5, 1]
    torch.testing.assert_close(other[:, order], told, rtol=1e-11, atol=1e-11)
    placed = stirred(config())
    assert (placed(swapped)[:, order] - placed(x)).abs().max() > 1e-3


def test_a_patch_is_the_convolution_it_comes_from():
    model, x = stirred(config()), images()
    kernel = model.embedding.weight.unflatten(1, (5, 5, 2)).permute(0, 3, 1, 2)
    patches = torch.nn.functional.conv2d(x, kernel, model.embedding.bias, stride=5).flatten(2).transpose(1, 2)
    wanted = torch.cat([model.class_token.weight.expand(2, 1, -1), patches], dim=1) + model.position.weight
    torch.testing.assert_close(model.embed(x, (3, 2)), wanted, rtol=1e-12, atol=1e-12)


def test_the_heads():
    x = images()
    for name in ("classes", "class and mean"):
        model = stirred(KINDS[name])
        vectors = stirred(config())
        vectors.load_state_dict({key: value for key, value in model.state_dict().items() if "head" not in key})
        told = vectors(x)
        read = told[:, 0] if name == "classes" else torch.cat([told[:, 0], told[:, 1:].mean(1)], dim=1)
        torch.testing.assert_close(model(x), read @ model.head.weight.T + model.head.bias, rtol=1e-12, atol=1e-12)


def test_other_sizes():
    model, any_size = stirred(config()), stirred(config(other_sizes="bicubic"))
    any_size.load_state_dict(model.state_dict())
    assert torch.equal(any_size(x := images()), model(x))
    assert any_size(images(20, 25)).shape == (2, 1 + 4 * 5, 21)
    assert stirred(KINDS["without places"])(images(5, 20)).shape == (2, 5, 21)
    with pytest.raises(ValueError, match=r"B × 2 × 15 × 10, for which positions were learned, got .*10, 15.*bicubic"):
        model(images(10, 15))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            torch.randn(2, 3, 15, 10),
            "images must be numbers of shape B × 2 × 15 × 10, got torch.float32 .2, 3, 15, 10.",
        ),
        (torch.randn(2, 15, 10), "images must be numbers"),
        (torch.zeros(1, 2, 15, 10, dtype=torch.uint8), "got torch.uint8"),
        (torch.randn(1, 2, 15, 11), "multiples of patch=5"),
        (torch.randn(1, 2, 0, 10), "multiples of patch=5"),
    ],
)
def test_wrong_images(given, says):
    with pytest.raises(ValueError, match=says):
        stirred(config(other_sizes="bicubic"))(given)


def test_wrong_configurations():
    with pytest.raises(ConfigError, match=r"patch=4 must divide image_height=15"):
        config(patch=4)
    with pytest.raises(ConfigError, match="modulation"):
        override(config(), "block.modulation=adaln_zero")
    with pytest.raises(ConfigError, match="num_heads"):
        config(blocks=(vision_block(4),))
    with pytest.raises(ConfigError, match="other_sizes"):
        config(other_sizes="any")


@EACH
def test_a_configuration_makes_the_round_trip(option):
    assert from_dict(Vision, to_dict(option)) == option


def test_it_starts_like_the_others_and_has_layer_scale():
    option = override(config(), "block.residual=scaled", "block.residual.learned=vector", "block.residual.branch=0.125")
    assert option.blocks[0].residual == Scaled(branch=0.125, learned="vector")
    model = oneblock.build(option, seed=0)
    assert torch.equal(model.blocks[1].attention_residual.scale.weight, torch.full((21,), 0.125))
    assert 0.01 < model.position.weight.std() < 0.03 and model.class_token.weight.abs().sum() > 0


def test_it_is_not_trained_here(tmp_path):
    from oneblock.train.session import start

    whole = oneblock.config.Config(model=config(), recipe=oneblock.config.Recipe(minutes=1.0, objective=NOTHING))
    with pytest.raises(OneblockError, match="Vision is of a kind that is not trained here; train a decoder"):
        start(whole, tmp_path / "x")
    assert not (tmp_path / "x").exists()


NOTHING = oneblock.config.config.NotTrained()
