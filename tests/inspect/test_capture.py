"""What a capture records, and that it leaves no trace."""

import pytest
import torch

import oneblock
from oneblock import build, override, presets
from oneblock.inspect import capture
from oneblock.nn.attend import Fused


def small(*settings):
    return override(presets.llama_nano(), "width=24", "num_layers=2", "context=11", "vocab_size=13", *settings)


def tokens(batch=3, length=7):
    return torch.randint(13, (batch, length), generator=torch.Generator().manual_seed(1))


PADDING = torch.tensor([[True, True, False, False, False, False, False], [False] * 7, [True] + [False] * 6])


def state(model):
    """All that a capture could change."""
    modules = [(name, id(module), module.training) for name, module in model.named_modules()]
    hooks = [
        len(getattr(module, kind))
        for module in model.modules()
        for kind in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
    ]
    weights = [(name, id(value), value.requires_grad) for name, value in model.named_parameters()]
    return modules, hooks, weights, torch.get_rng_state().tolist(), torch.is_grad_enabled()


@pytest.mark.parametrize("padding", [None, PADDING])
def test_no_trace_is_left(padding):
    model = build(small("block.dropout=0.3"), seed=0)
    model.blocks[1].attention.eval()  # a mode of its own
    before = state(model)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    capture(model, tokens(), padding)
    assert state(model) == before
    assert any(isinstance(module, Fused) for module in model.modules())
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name])


@pytest.mark.parametrize("place", ["start", "middle"])
def test_no_trace_is_left_where_the_forward_raises(place):
    model = build(small("position=learned"), seed=0)
    if place == "middle":
        model.blocks[1].feed_forward.down = torch.nn.Linear(5, 24)
    before = state(model)
    with pytest.raises((RuntimeError, oneblock.OneblockError)):
        capture(model, tokens(length=12 if place == "start" else 7))
    assert state(model) == before


def test_no_trace_is_left_where_it_is_no_model_of_ours():
    model = torch.nn.Sequential(torch.nn.Linear(2, 2))
    before = state(model)
    with pytest.raises(TypeError, match="Sequential"):
        capture(model, tokens())
    assert state(model) == before


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("padding", [None, PADDING])
def test_logits_are_those_of_the_model(dtype, padding):
    model = build(small("block.dropout=0.3", "block.attention.dropout=0.3"), seed=0).to(dtype)
    found = capture(model, tokens(), padding)
    expected = model.eval()(tokens(), padding=padding)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    assert found["logits"].dtype == dtype
    torch.testing.assert_close(found["logits"], expected.detach(), rtol=tolerance, atol=tolerance)


def test_what_is_recorded_fits_together():
    model = build(small('block.residual={"type": "scaled", "skip": 1.5, "branch": 0.5}'), seed=0).double()
    found = capture(model, tokens(), PADDING)
    weights, scores = found["blocks.1.attention.weights"], found["blocks.1.attention.scores"]
    assert weights.shape == (3, 4, 7, 7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 4, 7, dtype=torch.float64))
    assert not weights[1].triu(1).any()
    assert not weights[0, :, 2:].triu(3).any() and not weights[0, :, 2:, :2].any()
    torch.testing.assert_close(weights, scores.softmax(-1))
    q, k = found["blocks.1.attention.queries"], found["blocks.1.attention.keys"]
    assert q.shape == (3, 4, 7, 6) and k.shape == (3, 2, 7, 6)
    raw = q @ k.repeat_interleave(2, 1).mT * 6**-0.5
    seen = scores.isfinite()
    torch.testing.assert_close(scores[seen], raw[seen])
    entered, left = found["blocks.0"], found["blocks.1.attention_residual"]
    torch.testing.assert_close(left, 1.5 * entered + 0.5 * found["blocks.1.attention"])
    torch.testing.assert_close(found["blocks.1"], found["blocks.1.feed_forward_residual"])
    branch = model.blocks[1].feed_forward
    torch.testing.assert_close(branch.down(found["blocks.1.feed_forward.hidden"]), found["blocks.1.feed_forward"])
    torch.testing.assert_close(branch.norm_in(left), found["blocks.1.feed_forward.norm_in"])
    torch.testing.assert_close(model.head(found["norm"]), found["logits"])
    torch.testing.assert_close(model.norm(found["blocks.1"]), found["norm"])


def test_what_is_recorded_is_ones_own():
    model = build(small(), seed=0)
    found = capture(model, tokens())
    assert not any(tensor.requires_grad for tensor in found.values())
    expected = model.eval()(tokens())
    for tensor in found.values():
        tensor.zero_()
    assert torch.equal(model(tokens()), expected)
    assert len({tensor.data_ptr() for tensor in found.values()}) == len(found)


def expected_names(config):
    """The names of a capture, in order, from the configuration alone."""
    names = ["embedding"]
    for layer in range(config.num_layers):
        block, taken = config.block(layer), {}
        for step in block.branches:
            branches = []
            for name in step:
                taken[name] = taken.get(name, 0) + 1
                branches.append(name if taken[name] == 1 else f"{name}_{taken[name]}")
            joined, first = "_".join(branches), block.only(step[0])
            normed = type(first.norm).__name__ != "NoNorm"
            shared = block.shared_norm and len(step) > 1
            names += [f"{joined}_norm @{layer}"] if shared and normed else []
            for name, branch in zip(step, branches, strict=True):
                own = block.only(name)
                acts = type(own.norm).__name__ != "NoNorm"
                places = {"pre": ["in"], "peri": ["in", "out"], "out": ["out"]}.get(own.placement, [])
                names += [f"{branch}.norm_in @{layer}"] if acts and "in" in places and not shared else []
                if name == "attention":
                    qk = type(block.attention.qk_norm).__name__ != "NoNorm"
                    names += [f"{branch}.{kind}_norm @{layer}" for kind in "qk" if qk]
                    recorded = ("queries", "keys", "values", "scores", "weights")
                    names += [f"{branch}.{kind} @{layer}" for kind in recorded]
                else:
                    names.append(f"{branch}.hidden @{layer}")
                names += [f"{branch}.norm_out @{layer}"] if acts and "out" in places else []
                names.append(f"{branch} @{layer}")
            residual = first.residual
            scales = getattr(residual, "branch", 1) != 1 or getattr(residual, "learned", "no") != "no"
            names += [f"{joined}_residual.scale @{layer}"] if scales else []
            names += [f"{joined}_residual.skip @{layer}"] if getattr(residual, "skip", 1) != 1 else []
            names += [f"{joined}_residual.norm @{layer}"] if normed and first.placement == "post" else []
            names.append(f"{joined}_residual @{layer}")
        names.append(f"@{layer}")
    names = [
        f"blocks.{name.partition('@')[2]}.{name.partition(' @')[0]}" if " @" in name
        else name.replace("@", "blocks.") for name in names
    ]  # fmt: skip
    before = ["embedding.scale"] if config.embedding_scale else []
    before += ["embedding.norm"] if type(config.embedding_norm).__name__ != "NoNorm" else []
    after = ["norm"] if type(config.last_norm).__name__ != "NoNorm" else []
    return [*before, *names, *after, "logits"]


def test_names(models):
    for config in models:
        found = capture(build(config, seed=0), tokens())
        assert list(found) == expected_names(config), config


def test_the_stream_and_unknown_names():
    found = capture(build(small(), seed=0), tokens())
    assert list(found.stream) == ["embedding"] + [
        f"blocks.{layer}.{branch}_residual" for layer in range(2) for branch in ("attention", "feed_forward")
    ]
    with pytest.raises(KeyError, match=r"blocks\.0\.attention\.weights"):
        found["blocks.0.attention.weight"]
    assert "3 × 4 × 7 × 7" in repr(found)


def test_compiled_models_are_captured():
    def never(graph, inputs):
        raise AssertionError("a capture compiles nothing")

    model = build(small(), seed=0)
    plain, wrapped = capture(model, tokens()), capture(torch.compile(model, backend=never), tokens())
    model.compile(backend=never)
    for found in (wrapped, capture(model, tokens())):
        assert list(found) == list(plain)
        assert torch.equal(found["logits"], plain["logits"])


def test_a_diffusion_transformer_is_captured():
    sizes = ("width=24", "num_layers=2", "block.attention.num_heads=2", "image_height=8", "num_classes=3")
    model = oneblock.build(override(presets.preset("dit-nano"), *sizes)).eval()
    images, time, classes = torch.randn(5, 1, 8, 8), torch.rand(5), torch.tensor([0, 1, 2, 3, 0])
    found = capture(model, images, time=time, classes=classes)
    assert torch.equal(found["answer"], model(images, time, classes)) and "logits" not in found
    assert found["embedding"].shape == found["blocks.1"].shape == (5, 4, 24)
    assert found["blocks.0.attention.weights"].shape == (5, 2, 4, 4)
    assert torch.equal(capture(model, images, time=time)["answer"], model(images, time))
