"""The diffusion transformer: the paper's sizes, its start, its equations, and what it does not mix."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from oneblock import build
from oneblock.config import (
    DDPM,
    AdaLN,
    Alibi,
    Attention,
    Block,
    Dense,
    DiT,
    Gated,
    Learned,
    NoPosition,
    RectifiedFlow,
    RMSNorm,
    Rope,
    dit_block,
)
from oneblock.config.experts import TopK
from oneblock.nn.condition import TimeEmbedding
from oneblock.nn.patches import waves_2d
from oneblock.nn.record import Record

B, C, H, W, P, D = 3, 2, 6, 10, 2, 24
TIME, CLASSES = torch.tensor([0, 731, 12]), torch.tensor([4, 0, 5])


def option(**settings):
    plain = {
        "channels": C, "image_height": H, "image_width": W, "patch": P, "width": D, "num_layers": 2,
        "blocks": (dit_block(3),), "num_classes": 5,
    }  # fmt: skip
    return DiT(**plain | settings)


def stirred(config, seed=0):
    """In float64 and eval mode, everything moved away from where it starts."""
    model = build(config, seed=seed).double().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return model


def some_images(count=B, seed=1):
    return torch.randn(count, C, H, W, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


SIZES = [
    (384, 12, 6, 32_865_056),
    (768, 12, 12, 130_315_808),
    (1024, 24, 16, 457_840_672),
    (1152, 28, 16, 674_834_720),
]


def paper(width, layers, heads, **settings):
    plain = {"channels": 4, "image_height": 32, "patch": 2, "num_classes": 1000}
    return DiT(width=width, num_layers=layers, blocks=(dit_block(heads),), **plain | settings)


@pytest.mark.parametrize(("width", "layers", "heads", "expected"), SIZES)
def test_parameters_of_the_papers_sizes(width, layers, heads, expected):
    with torch.device("meta"):
        model = build(paper(width, layers, heads))
    assert sum(parameter.numel() for parameter in model.parameters()) == expected


def test_at_first_the_answer_is_zero_and_only_the_head_learns():
    model = build(option(), seed=0).double()
    images, noise = some_images(), some_images(seed=2)
    streams = []
    for block in model.blocks:
        block.register_forward_hook(lambda module, given, out: streams.append((given[0], out)))
    answer = model(images, TIME, CLASSES)
    assert answer.shape == (B, 2 * C, H, W) and not answer.any()
    assert len(streams) == 2 and all(torch.equal(before, after) for before, after in streams)
    model.process.losses(answer, images, TIME, noise).mean().backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().max() > 0}
    assert moved == {"head.weight", "head.bias"}


def test_the_first_loss_is_the_variance_of_what_is_asked_for():
    x0, noise, time = some_images(997), some_images(997, seed=2), torch.zeros(997, dtype=torch.long)
    plain = build(option(process=DDPM(variance="posterior")), seed=0).double()
    loss = plain.process.losses(plain(x0, time, None), x0, time, noise).mean()
    assert loss.item() == pytest.approx(1, abs=0.02)
    flow = build(option(process=RectifiedFlow()), seed=0).double()
    loss = flow.process.losses(flow(2 * x0, time, None), 2 * x0, time, noise).mean()
    assert loss.item() == pytest.approx(1 + 4, abs=0.1)


def test_how_weights_start():
    model = build(option(width=96, num_layers=1, time_width=250, num_classes=200, position=Learned()), seed=0)
    for table in (model.condition.classes, model.condition.time.up, model.condition.time.down, model.position):
        assert table.weight.std().item() == pytest.approx(0.02, rel=0.1)
    for linear in (model.embedding, model.blocks[0].attention.qkv, model.blocks[0].feed_forward.down):
        bound = (6 / sum(linear.weight.shape)) ** 0.5
        assert 0.95 * bound < linear.weight.abs().max() <= bound
    for name, parameter in model.named_parameters():
        if "bias" in name or "modulation" in name or name.startswith("head"):
            assert not parameter.any(), name
    assert not model.blocks[0].attention.norm_in.state_dict()


def test_the_whole_model_written_out():
    model, images = stirred(option()), some_images()
    p = model.state_dict()
    tokens = torch.stack(
        [
            images[:, :, y : y + P, x : x + P].permute(0, 2, 3, 1).flatten(1)
            for y in range(0, H, P)
            for x in range(0, W, P)
        ],
        dim=1,
    )
    stream = tokens @ p["embedding.weight"].T + p["embedding.bias"] + waves_2d((3, 5), D)
    waves = TimeEmbedding(256, 1).waves(TIME)
    c = F.silu(waves @ p["condition.time.up.weight"].T + p["condition.time.up.bias"])
    c = c @ p["condition.time.down.weight"].T + p["condition.time.down.bias"] + p["condition.classes.weight"][CLASSES]
    ctx = model._context(images, TIME, CLASSES)
    torch.testing.assert_close(ctx.condition_BD, c)
    for block in model.blocks:
        stream = block(stream, ctx)
    shift, scale = (F.silu(c) @ p["modulation.project.weight"].T + p["modulation.project.bias"])[:, None].chunk(2, 2)
    stream = F.layer_norm(stream, (D,), eps=1e-6) * (1 + scale) + shift
    pixels = (stream @ p["head.weight"].T + p["head.bias"]).view(B, 3, 5, P, P, 2 * C)
    expected = torch.einsum("bhwpqc->bchpwq", pixels).reshape(B, 2 * C, H, W)
    torch.testing.assert_close(model(images, TIME, CLASSES), expected, rtol=1e-10, atol=1e-12)


VARIANTS = {
    "paper": {},
    "flow": {"process": RectifiedFlow(time_scale=1000.0)},
    "fixed variance, no classes": {"process": DDPM(variance="beta"), "num_classes": None},
    "experts": {
        "blocks": (
            dit_block(3),
            replace(dit_block(3), feed_forward=TopK(num_experts=3, k=2, expert=Dense(hidden=7))),
        )
    },
    "learned positions, no dropout of labels": {"position": Learned(), "class_dropout": 0.0},
    "rotary, gated, in parallel": {
        "position": NoPosition(),
        "blocks": (
            Block(
                steps=("attention+feed_forward",), shared_norm=True, norm=RMSNorm(), feed_forward=Gated(),
                attention=Attention(num_heads=3, position=Rope(), qk_norm=RMSNorm()), modulation=AdaLN(),
            ),
            Block(attention=Attention(num_heads=6, num_kv_heads=2, position=Alibi(), window=4), placement="peri"),
        ),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_properties(name):
    config = option(**VARIANTS[name])
    model, images = stirred(config), some_images()
    labels = None if config.num_classes is None else CLASSES.clamp(max=config.num_labels - 1)
    time = TIME / 1000 if isinstance(config.process, RectifiedFlow) else TIME

    def rows(select):
        return None if labels is None else labels[select]

    with torch.no_grad():
        answer = model(images, time, labels)
        assert answer.shape == (B, config.answer_channels, H, W) and answer.isfinite().all()
        for row in range(B):
            alone = model(images[row : row + 1], time[row : row + 1], rows(slice(row, row + 1)))
            torch.testing.assert_close(alone[0], answer[row], rtol=1e-9, atol=1e-11)
        # Time and class tell.
        assert not torch.allclose(model(images, time.flip(0), labels), answer)
        assert labels is None or not torch.allclose(model(images, time, (labels + 1) % 5), answer)
        twin = copy.deepcopy(model)
        other = build(config, seed=9).double().eval()
        other.load_state_dict(model.state_dict(), strict=True)
        assert torch.equal(other(images, time, labels), answer) and torch.equal(twin(images, time, labels), answer)
        torch.testing.assert_close(build_written(config, model)(images, time, labels), answer, rtol=1e-9, atol=1e-11)
        single = twin.float()(images.float(), time, labels)
        assert single.dtype == torch.float32
        torch.testing.assert_close(single.double(), answer, rtol=1e-3, atol=1e-3 * answer.abs().max().item())


def build_written(config, model):
    written = build(config, seed=9, fused=False).double().eval()
    written.load_state_dict(model.state_dict())
    return written


def test_a_scaled_time_is_told_scaled():
    scaled, plain = (stirred(option(process=RectifiedFlow(time_scale=scale))) for scale in (1000.0, 1.0))
    images, time = some_images(), torch.tensor([0.0, 0.25, 1.0])
    found = scaled(images, time, CLASSES)
    torch.testing.assert_close(found, plain(images, 1000 * time, CLASSES), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(found, plain(images, time, CLASSES))


def test_experts_tell_what_they_did():
    model, record = stirred(option(**VARIANTS["experts"])), Record()
    model(some_images(), TIME, CLASSES, record=record)
    assert len(record.layers) == 1 and record.layers[0].load.shape == (3,)


def test_every_patch_sees_every_other():
    model, images = stirred(option()), some_images(1)
    answer = model(images, TIME[:1], CLASSES[:1])
    for corner in ((0, 0), (H - 1, W - 1)):
        other = images.clone()
        other[0, 0, corner[0], corner[1]] += 1
        changed = (model(other, TIME[:1], CLASSES[:1]) - answer).abs().amax(dim=(0, 1))
        assert (changed > 1e-9).all()


def test_labels_are_dropped_in_training_alone():
    model, images = stirred(option(class_dropout=0.5)), some_images(1).expand(64, -1, -1, -1)
    time, classes = torch.full((64,), 7), torch.full((64,), 2)
    with torch.no_grad():
        given, none = (model(images[:1], time[:1], torch.tensor([label])) for label in (2, 5))
        assert torch.equal(model(images, time, classes), model(images, time, classes))
        model.train()
        torch.manual_seed(0)
        trained = model(images, time, classes)
    dropped = (trained - none).abs().amax(dim=(1, 2, 3)) < 1e-9
    kept = (trained - given).abs().amax(dim=(1, 2, 3)) < 1e-9
    assert (dropped ^ kept).all() and 16 < dropped.sum() < 48


def test_it_learns():
    model = build(option(process=RectifiedFlow(), width=48, blocks=(dit_block(3),)), seed=0)
    x0 = 2 * some_images(1).float().expand(16, -1, -1, -1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    generator, losses = torch.Generator().manual_seed(0), []
    for _ in range(60):
        time, noise = model.process.draw(x0, generator)
        loss = model.process.losses(model(model.process.noised(x0, time, noise), time), x0, time, noise).mean()
        optimizer.zero_grad()
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


@pytest.mark.parametrize(
    ("images", "time", "classes", "says"),
    [
        (torch.zeros(B, C, H, W + P), TIME, CLASSES, "B × 2 × 6 × 10, got"),
        (torch.zeros(C, H, W), TIME, CLASSES, "B × 2 × 6 × 10, got"),
        (torch.zeros(B, C, H, W, dtype=torch.uint8), TIME, CLASSES, "uint8"),
        (torch.zeros(B, C, H, W), TIME[:2], CLASSES, "one number for each of the 3 images"),
        (torch.zeros(B, C, H, W), torch.tensor(3), CLASSES, "one number for each of the 3 images"),
        (torch.zeros(B, C, H, W), TIME, CLASSES[:, None], "one whole number for each of the 3 images"),
        (torch.zeros(B, C, H, W), TIME, CLASSES.float(), "one whole number for each of the 3 images"),
        (torch.zeros(B, C, H, W), TIME, CLASSES + 1, "class 6 is not one of the model's, 0…4, or 5: no class"),
    ],
)
def test_what_does_not_fit(images, time, classes, says):
    with pytest.raises(ValueError, match=says):
        build(option(), seed=0)(images, time, classes)
