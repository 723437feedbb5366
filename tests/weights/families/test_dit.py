"""DiT under its public names, against a reference of this test's own, written from the paper's equations."""

import json
import math

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

import oneblock
from oneblock.config import DiT, Learned, Sinusoidal2D, dit_block, override
from oneblock.config.config import Config
from oneblock.config.objective import Denoise
from oneblock.config.recipe import Recipe
from oneblock.weights.errors import WeightsError
from oneblock.weights.reading import open_checkpoint
from oneblock.weights.writing import express

D, H, LAYERS, PATCH, SIDE, CHANNELS, CLASSES = 20, 5, 3, 3, 12, 2, 7
FIELDS = {
    "model_type": "dit", "input_size": SIDE, "patch_size": PATCH, "in_channels": CHANNELS, "hidden_size": D,
    "depth": LAYERS, "num_heads": H, "num_classes": CLASSES,
}  # fmt: skip


def weights(channels_out, hidden=4 * D, labels=CLASSES + 1):
    """Random tensors under the public names."""
    torch.manual_seed(0)
    shapes = {
        "pos_embed": (1, (SIDE // PATCH) ** 2, D),
        "x_embedder.proj.weight": (D, CHANNELS, PATCH, PATCH), "x_embedder.proj.bias": (D,),
        "t_embedder.mlp.0.weight": (D, 256), "t_embedder.mlp.0.bias": (D,),
        "t_embedder.mlp.2.weight": (D, D), "t_embedder.mlp.2.bias": (D,),
        "y_embedder.embedding_table.weight": (labels, D),
        "final_layer.linear.weight": (PATCH**2 * channels_out, D), "final_layer.linear.bias": (PATCH**2 * channels_out,),
        "final_layer.adaLN_modulation.1.weight": (2 * D, D), "final_layer.adaLN_modulation.1.bias": (2 * D,),
    }  # fmt: skip
    for layer in range(LAYERS):
        for name, out, into in (
            ("attn.qkv", 3 * D, D), ("attn.proj", D, D), ("mlp.fc1", hidden, D), ("mlp.fc2", D, hidden),
            ("adaLN_modulation.1", 6 * D, D),
        ):  # fmt: skip
            shapes |= {f"blocks.{layer}.{name}.weight": (out, into), f"blocks.{layer}.{name}.bias": (out,)}
    return {name: 0.3 * torch.randn(shape, dtype=torch.float64) for name, shape in shapes.items()}


def reference(w, images, times, labels):
    """Section 3 of the paper, one image after another, one head after another."""

    def plain(x):
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-6).sqrt()

    def map_(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def silu(x):
        return x / (1 + (-x).exp())

    answers = []
    for image, time, label in zip(images, times.tolist(), labels.tolist(), strict=True):
        frequencies = [math.exp(-math.log(10000) * k / 128) for k in range(128)]
        phase = torch.tensor([time * each for each in frequencies], dtype=torch.float64)
        c = map_("t_embedder.mlp.2", silu(map_("t_embedder.mlp.0", torch.cat([phase.cos(), phase.sin()]))))
        c = silu(c + w["y_embedder.embedding_table.weight"][label])
        x = F.conv2d(image[None], w["x_embedder.proj.weight"], w["x_embedder.proj.bias"], stride=PATCH)
        x = x[0].flatten(1).T + w["pos_embed"][0]
        for layer in range(LAYERS):
            at = f"blocks.{layer}"
            shift1, scale1, gate1, shift2, scale2, gate2 = map_(f"{at}.adaLN_modulation.1", c).split(D)
            q, k, v = map_(f"{at}.attn.qkv", plain(x) * (1 + scale1) + shift1).split(D, dim=-1)
            heads = []
            for head in range(H):
                one = slice(head * D // H, (head + 1) * D // H)
                heads.append((q[:, one] @ k[:, one].T / math.sqrt(D // H)).softmax(-1) @ v[:, one])
            x = x + gate1 * map_(f"{at}.attn.proj", torch.cat(heads, dim=1))
            inner = F.gelu(map_(f"{at}.mlp.fc1", plain(x) * (1 + scale2) + shift2), approximate="tanh")
            x = x + gate2 * map_(f"{at}.mlp.fc2", inner)
        shift, scale = map_("final_layer.adaLN_modulation.1", c).split(D)
        patches = map_("final_layer.linear", plain(x) * (1 + scale) + shift)
        out = torch.empty(patches.shape[1] // PATCH**2, SIDE, SIDE, dtype=torch.float64)
        for number, patch in enumerate(patches):
            row, column = divmod(number, SIDE // PATCH)
            place = slice(row * PATCH, (row + 1) * PATCH), slice(column * PATCH, (column + 1) * PATCH)
            out[:, *place] = patch.reshape(PATCH, PATCH, -1).permute(2, 0, 1)
        answers.append(out)
    return torch.stack(answers)


def saved(folder, w, **more):
    folder.mkdir(exist_ok=True)
    save_file(w, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(FIELDS | more))
    return folder


def inputs():
    torch.manual_seed(1)
    images = torch.randn(3, CHANNELS, SIDE, SIDE, dtype=torch.float64)
    return images, torch.tensor([0, 3, 999]), torch.tensor([2, CLASSES, 0])


@pytest.mark.parametrize(
    ("channels_out", "hidden", "labels", "more"),
    [
        (2 * CHANNELS, 4 * D, CLASSES + 1, {}),
        (CHANNELS, 4 * D, CLASSES + 1, {"learn_sigma": False}),
        (2 * CHANNELS, 37, CLASSES + 1, {"mlp_ratio": 1.87}),
    ],
    ids=["learned variance", "fixed variance", "another width"],
)
def test_the_same_answer(tmp_path, channels_out, hidden, labels, more):
    w = weights(channels_out, hidden, labels)
    model = oneblock.load(saved(tmp_path / "dit", w, **more))
    told, wanted = model(*inputs()), reference(w, *inputs())
    assert told.shape == wanted.shape == (3, channels_out, SIDE, SIDE)
    assert (told - wanted).abs().max() < 1e-10
    narrow = model.float()(inputs()[0].float(), *inputs()[1:])
    assert (narrow - wanted).abs().max() < 1e-4 * wanted.abs().max()


def test_in_and_out_gives_the_same_tensors(tmp_path):
    w = weights(2 * CHANNELS, 37)
    opened = open_checkpoint(saved(tmp_path / "dit", w, mlp_ratio=1.87))
    assert opened.config.model.position == Learned() and opened.unread == []
    said = express(opened.config)
    theirs = dict(said.tensors(opened.tensors()))
    assert theirs.keys() == w.keys() and all(torch.equal(theirs[name], w[name]) for name in w)
    saved(tmp_path / "again", {name: tensor.contiguous() for name, tensor in theirs.items()}, **said.fields)
    assert open_checkpoint(tmp_path / "again").config.model == opened.config.model


def test_a_file_without_the_fixed_table_has_ours(tmp_path):
    w = weights(2 * CHANNELS)
    table = w.pop("pos_embed")
    model = oneblock.load(saved(tmp_path / "dit", w))
    assert isinstance(model.config.position, Sinusoidal2D)
    waves = torch.tensor(
        [
            [
                f(place * 10000 ** (-k / (D // 4)))
                for place in (column, row)
                for f in (math.sin, math.cos)
                for k in range(D // 4)
            ]
            for row in range(SIDE // PATCH)
            for column in range(SIDE // PATCH)
        ],
        dtype=torch.float64,
    )
    told = model(*inputs())
    assert (told - reference(w | {"pos_embed": waves[None]}, *inputs())).abs().max() < 1e-10
    assert (told - reference(w | {"pos_embed": table}, *inputs())).abs().max() > 1e-3


OURS = DiT(
    channels=CHANNELS, image_height=SIDE, patch=PATCH, width=D, num_layers=LAYERS, blocks=(dit_block(H),),
    num_classes=CLASSES,
)  # fmt: skip


def whole(model):
    return Config(model=model, recipe=Recipe(minutes=1.0, objective=Denoise()))


def test_ours_goes_out():
    said = express(whole(OURS))
    assert said.family.name == "dit" and said.fields["learn_sigma"] is True
    tensors = dict(said.tensors(oneblock.build(OURS).state_dict()))
    assert tensors.keys() == weights(2 * CHANNELS).keys() - {"pos_embed"}
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        name: tuple(tensor.shape) for name, tensor in weights(2 * CHANNELS).items() if name != "pos_embed"
    }


@pytest.mark.parametrize(
    ("model", "option"),
    [
        (override(OURS, "process.variance=posterior"), "process.variance"),
        (override(OURS, "process=rectified_flow"), "process"),
        (override(OURS, "time_width=128"), "time_width"),
        (override(OURS, "image_width=6"), "image_width"),
        (override(OURS, "block.modulation=adaln"), "modulation"),
        (override(OURS, "block.attention.num_kv_heads=1"), "num_kv_heads"),
        (override(OURS, "position=none"), "position"),
        (override(OURS, "block.feed_forward.activation=gelu"), "activation"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_cannot_say_is_named(model, option):
    with pytest.raises(WeightsError, match=rf"(?s)dit: .*{option}"):
        express(whole(model))


def test_missing_and_unexpected_names_are_listed(tmp_path):
    w = weights(2 * CHANNELS)
    w["blocks.1.attn.q_norm.weight"] = w.pop("blocks.1.mlp.fc1.bias")
    with pytest.raises(WeightsError, match=r"missing: blocks.1.mlp.fc1.bias; unexpected: blocks.1.attn.q_norm.weight"):
        open_checkpoint(saved(tmp_path / "dit", w))
    with pytest.raises(WeightsError, match=r"final_layer.linear.weight is \[36, 20\] and should be \[18, 20\]"):
        open_checkpoint(saved(tmp_path / "other", weights(2 * CHANNELS), learn_sigma=False))
