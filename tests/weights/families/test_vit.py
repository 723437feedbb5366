"""Vision encoders of ours in the names of ViT and DINOv2, and back; what they cannot say."""

import json

import pytest
import torch
from safetensors.torch import save_file

import oneblock
from oneblock.cli.main import main
from oneblock.config import Vision, override, vision_block
from oneblock.config.config import Config
from oneblock.config.objective import NotTrained
from oneblock.config.recipe import Recipe
from oneblock.weights.errors import WeightsError
from oneblock.weights.reading import open_checkpoint
from oneblock.weights.writing import express

VIT = Vision(channels=2, image_height=15, patch=5, width=21, num_layers=3, blocks=(vision_block(3),))
SCALED = override(VIT, "block.residual=scaled", "block.residual.learned=vector", "other_sizes=bicubic")
GATED = override(SCALED, "block.feed_forward=swiglu", "block.feed_forward.hidden=40", "block.feed_forward.bias=true")
OURS = {
    "vit": VIT,
    "vit-classifier": override(VIT, "num_classes=7", "block.feed_forward.hidden=31", "block.attention.bias=false"),
    "dinov2": SCALED,
    "dinov2, gated": GATED,
    "dinov2-classifier": override(SCALED, "num_classes=7", "head_reads=class_and_mean", "image_height=20"),
}


def whole(model):
    return Config(model=model, recipe=Recipe(minutes=1.0, objective=NotTrained()))


def written(folder, model, option):
    said = express(whole(option))
    tensors = {name: tensor.contiguous() for name, tensor in said.tensors(model.state_dict())}
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(said.fields))
    return said, folder


def stirred(option):
    model = oneblock.build(option, seed=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("name", OURS)
def test_out_and_in_again(tmp_path, name):
    option = OURS[name]
    model = stirred(option)
    said, folder = written(tmp_path / "m", model, option)
    assert said.family.name == name.split(",")[0]
    opened = open_checkpoint(folder)
    assert opened.unread == opened.left_aside == []
    images = torch.randn(2, 2, *option.sides)
    torch.testing.assert_close(opened.model()(images), model(images))
    assert opened.config.model.blocks[0].attention.bias == option.blocks[0].attention.bias


@pytest.mark.parametrize(
    ("model", "option"),
    [
        (override(VIT, "block.residual=scaled"), "residual"),
        (override(VIT, "position=none"), "position"),
        (override(VIT, "block.attention.head_width=5"), "head_width"),
        (override(VIT, "block.placement=post"), "placement|norm"),
        (override(VIT, "num_classes=7", "head_reads=class_and_mean"), "head_reads"),
        (override(VIT, "block.norm.eps=0.001"), "eps"),
    ],
)
def test_what_they_cannot_say_is_named(model, option):
    with pytest.raises(WeightsError, match=rf"(?s)vit: .*({option}).*dinov2"):
        express(whole(model))


def test_oblong_images_and_patches(tmp_path):
    option = override(VIT, "image_width=10")
    said, folder = written(tmp_path / "m", stirred(option), option)
    assert said.fields["image_size"] == [15, 10] and open_checkpoint(folder).config.model.sides == (15, 10)
    (folder / "config.json").write_text(json.dumps(said.fields | {"patch_size": [5, 2]}))
    with pytest.raises(WeightsError, match=r"patch_size=\[5, 2\] is not supported"):
        open_checkpoint(folder)


def test_the_commands(tmp_path, capsys):
    model = stirred(OURS["dinov2-classifier"])
    _, folder = written(tmp_path / "m", model, OURS["dinov2-classifier"])
    assert main(["convert", str(folder), str(tmp_path / "ours"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["family"] == "dinov2-classifier"
    images = torch.randn(1, 2, 20, 15)
    torch.testing.assert_close(oneblock.load(tmp_path / "ours")(images), model(images))
    assert main(["show", str(tmp_path / "ours"), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert shown["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert main(["generate", str(tmp_path / "ours")]) == 2
    assert "a vision encoder makes nothing" in capsys.readouterr().err
