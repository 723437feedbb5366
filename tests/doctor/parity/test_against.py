"""Planted differences are named, one and two at a time; what cannot be explained is said to be so."""

import parity_hosts as hosts
import parity_zoo as zoo
import pytest
import torch

import oneblock
import oneblock.config
from oneblock.doctor import against
from oneblock.doctor.errors import DoctorError

QUICK = [0, 7, 21, 25, 36, 47, 52, 61]
QUICK_PAIRS = [1, 9]


@pytest.mark.parametrize(
    ("host", "on", "wanted"), [zoo.SINGLES[i] for i in QUICK] + [zoo.PAIRS[i] for i in QUICK_PAIRS]
)
def test_a_difference_is_named(host, on, wanted):
    found = against(*zoo.pair(host, on))
    assert not found.agree and not found.unread
    assert zoo.named(found.explanation, wanted), found


@pytest.mark.slow
@pytest.mark.parametrize(("host", "on", "wanted"), zoo.SINGLES + zoo.PAIRS)
def test_every_difference_of_the_zoo_is_named(host, on, wanted):
    found = against(*zoo.pair(host, on))
    assert zoo.named(found.explanation, wanted), found


@pytest.mark.slow
@pytest.mark.parametrize(("host", "on", "wanted"), zoo.SINGLES[:12] + zoo.PAIRS[:3])
def test_from_the_other_side(host, on, wanted):
    """What the reference has is told of the target as lacking: the same words, swapped."""
    target, reference = zoo.pair(host, on)
    there, back = against(target, reference), against(reference, target)
    assert {(c.what, str(c.reference), str(c.target)) for c in there.explanation if c.what.count(".") == 0} == {
        (c.what, str(c.target), str(c.reference)) for c in back.explanation if c.what.count(".") == 0
    } or "bias" in str(on)


def test_the_same_agree():
    found = against(hosts.Llama(), hosts.Llama())
    assert found.agree and found.difference == 0 and found.explanation == () and found.first_difference is None
    assert str(found).startswith("Llama agrees with Llama")


def test_two_forms_of_one_model_agree():
    """Neighbours that turn, with rows of queries and keys put in their order: another file, the same function."""
    target, reference = hosts.Llama(interleaved=True), hosts.Llama()
    half = hosts.LlamaAttention.K // 2
    order = torch.arange(hosts.LlamaAttention.K).view(2, half).T.flatten()
    with torch.no_grad():
        for block in target.blocks:
            for proj in (block.attn.q_proj, block.attn.k_proj):
                heads = proj.weight.view(-1, hosts.LlamaAttention.K, hosts.D)
                proj.weight.copy_(heads[:, order].reshape(proj.weight.shape))
    assert against(target, reference).agree
    # The convention cancels out: only what matters is named.
    for block in target.blocks:
        block.norm1.on = {"eps": 1e-2}
    (change,) = against(target, reference).explanation
    assert (change.what, change.target, change.reference) == ("norm eps", 1e-2, 1e-5)
    assert change.places == ("0.attention.before", "1.attention.before")


@pytest.mark.parametrize(
    ("host", "on", "module"),
    [
        ("Llama", {"eps": 1e-2}, "blocks.0.norm1"),
        ("Llama", {"interleaved": True}, "blocks.0.attn"),
        ("Llama", {"one weight": True}, "blocks.0.attn.k_proj"),
        ("Llama", {"branch": 0.5}, "blocks.0"),
        ("Gpt", {"act": "relu", "only layer": 1}, "blocks.1.mlp"),
        ("Gpt", {"logit scale": 0.5}, ""),
    ],
)
def test_the_first_module_that_parts(host, on, module):
    found = against(*zoo.pair(host, on)).first_difference
    assert (found.reference, found.target) == (module, module)
    assert found.difference > 1e-4


def test_a_layer_is_named():
    target = hosts.Gpt(**{"act": "relu", "only layer": 1})
    (change,) = against(target, hosts.Gpt()).explanation
    assert (change.what, change.layers) == ("activation", (1,))
    assert str(change) == "activation in layer 1 (feed-forward): relu; the reference has gelu"
    (change,) = against(hosts.Gpt(**{"one weight": True}), hosts.Gpt()).explanation
    assert change.layers == (1,) and change.parameters == ("blocks.1.mlp.c_fc.weight",)
    assert "most by 0.5 at [5, 3]" in change.target


@pytest.mark.parametrize(("on", "wanted"), [zoo.UNREADABLE[0]])
def test_what_cannot_be_looked_into_is_searched(on, wanted):
    found = against(hosts.opaque(**on), hosts.Gpt())
    assert zoo.named(found.explanation, wanted) and "target" in found.unread, found
    (change,) = against(hosts.Gpt(**on), hosts.opaque()).explanation
    assert change.target == next(iter(wanted.values()))


@pytest.mark.slow
@pytest.mark.parametrize(("on", "wanted"), zoo.UNREADABLE)
def test_every_difference_that_is_searched(on, wanted):
    found = against(hosts.opaque(**on), hosts.Gpt())
    assert zoo.named(found.explanation, wanted) and "target" in found.unread, found


class Odd(hosts.Gpt):
    def forward(self, ids):
        return super().forward(ids) + torch.sin(3 * self.wte(ids) @ self.wte.weight.T)


def test_what_is_not_known_is_not_explained():
    found = against(Odd(), hosts.Gpt(), seconds=1)
    assert not found.agree and found.explanation == () and found.first_difference.reference == ""
    assert "no explanation was found" in str(found) and "the target could not be read" in str(found)
    assert found.to_dict()["explanation"] == []


def test_other_weights_are_not_explained_away():
    found = against(hosts.Gpt(seed=1), hosts.Gpt())
    assert [change.what for change in found.explanation] == ["parameters"]


def test_ours_against_a_file():
    """A model of ours with a file's weights, and one choice of ours otherwise."""
    file = hosts.Llama()
    config = oneblock.presets.llama_nano().model
    sets = ("width=24", "num_layers=2", "context=48", "vocab_size=23", "tied=false", "block.feed_forward.hidden=40")
    heads = ("block.attention.num_heads=6", "block.attention.num_kv_heads=3")
    config = oneblock.override(config, *sets, *heads)
    tensors = {"embedding.weight": file.embed_wte.weight, "norm.weight": file.norm_f.weight}
    tensors["head.weight"] = file.head.weight
    for i, block in enumerate(file.blocks):
        a, f = f"blocks.{i}.attention", f"blocks.{i}.feed_forward"
        joined = [block.attn.q_proj.weight, block.attn.k_proj.weight, block.attn.v_proj.weight]
        tensors |= {f"{a}.qkv.weight": torch.cat(joined), f"{a}.output.weight": block.attn.o_proj.weight}
        tensors |= {f"{a}.norm_in.weight": block.norm1.weight, f"{f}.norm_in.weight": block.norm2.weight}
        tensors |= {f"{f}.{name}.weight": getattr(block.mlp, f"{name}_proj").weight for name in ("gate", "up", "down")}

    def built(*changes):
        model = oneblock.build(oneblock.override(config, *changes))
        model.load_state_dict(tensors)
        return model

    assert against(built(), file).agree
    for change, what, value in (
        ("position.style=interleaved", "rope", "interleaved"),
        ("embedding_scale=true", "embedding scale", pytest.approx(24**0.5, rel=1e-5)),
    ):
        (found,) = against(built(change), file).explanation
        assert (found.what, found.target) == (what, value)


def exchanged(model):
    model.blocks = torch.nn.ModuleList([model.blocks[1], model.blocks[0]])


def gate_for_up(model):
    for block in model.blocks:
        block.mlp.gate_proj, block.mlp.up_proj = block.mlp.up_proj, block.mlp.gate_proj


def values_for_keys(model):
    for block in model.blocks:
        block.attn.k_proj, block.attn.v_proj = block.attn.v_proj, block.attn.k_proj


def norms_exchanged(model):
    block = model.blocks[1]
    block.norm1, block.norm2 = block.norm2, block.norm1


@torch.no_grad()
def halved(model):
    for parameter in model.parameters():
        parameter.copy_(parameter.bfloat16())


@torch.no_grad()
def negated(model):
    model.blocks[0].mlp.down_proj.weight.neg_()


@torch.no_grad()
def heads_in_another_order(model):
    weight = model.blocks[0].attn.q_proj.weight
    weight.copy_(weight.unflatten(0, (6, 4)).flip(0).flatten(0, 1))


@pytest.mark.parametrize(
    ("do", "says"),
    [
        (exchanged, {"parameters: those of layer 1", "parameters: those of layer 0"}),
        (gate_for_up, {"feed_forward.up.weight: gate and up exchanged"}),
        (values_for_keys, {"attention.qkv.weight: keys and values exchanged"}),
        (
            norms_exchanged,
            {
                "attention.before.gain: that of feed_forward.before.gain",
                "feed_forward.before.gain: that of attention.before.gain",
            },
        ),
        (halved, {"parameters: rounded to bfloat16"}),
        (negated, {"feed_forward.down.weight: multiplied by -1"}),
        (heads_in_another_order, {"attention.queries.weight: permuted on its outputs"}),
    ],
)
def test_what_was_done_to_parameters(do, says):
    model = hosts.Llama()
    do(model)
    assert {f"{change.what}: {change.target}" for change in against(model, hosts.Llama()).explanation} == says


def test_a_parameter_is_called_by_its_own_name():
    (change,) = against(hosts.Llama(**{"one weight": True}), hosts.Llama()).explanation
    assert (change.what, change.layers) == ("attention.keys.weight", (0,))
    assert change.parameters == ("blocks.0.attn.k_proj.weight",)


@pytest.mark.parametrize(
    ("preset", "sizes", "change"),
    [
        ("switch-nano", ("context=48", "vocab_size=29"), "blocks.0.feed_forward.activation=silu"),
        ("dit-nano", ("image_height=12", "time_width=16"), "block.feed_forward.activation=relu"),
        ("encoder-nano", ("context=48", "vocab_size=29"), "block.attention.scale=0.1"),
    ],
)
def test_models_of_ours_that_are_no_plain_decoders(preset, sizes, change):
    config = oneblock.override(oneblock.config.preset(preset), "width=24", "num_layers=2", *sizes)
    reference = hosts.drawn(oneblock.build(config))
    model = oneblock.build(oneblock.override(config, change))
    model.load_state_dict(reference.state_dict())
    (found,) = against(model, reference).explanation
    path, _, value = change.partition("=")
    assert found.what.split(".")[-1].split()[-1] == path.split(".")[-1] and str(found.target) == value


def test_torchs_own_layers_are_looked_into():
    class Own(torch.nn.Module):
        def __init__(self, **more):
            super().__init__()
            layer = torch.nn.TransformerEncoderLayer(24, 3, 40, batch_first=True, dropout=0.0, **more)
            self.wte, self.wpe = torch.nn.Embedding(23, 24), torch.nn.Embedding(48, 24)
            self.layers = torch.nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = torch.nn.Linear(24, 23)
            hosts.drawn(self)

        def forward(self, ids):
            mask = torch.nn.Transformer.generate_square_subsequent_mask(ids.shape[1]).to(self.head.weight.dtype)
            x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
            return self.head(self.layers(x, mask=mask, is_causal=True))

    (found,) = against(Own(norm_first=False), Own(norm_first=True)).explanation
    assert (found.what, found.target, found.reference) == ("norm placement", "post", "pre")


def test_nothing_is_changed():
    target, reference = hosts.Gpt(eps=1e-5), hosts.Gpt()
    before = [p.clone() for p in (*target.parameters(), *reference.parameters())]
    state = torch.get_rng_state()
    against(target.train(), reference)
    assert target.training and torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(p, q) for p, q in zip(before, (*target.parameters(), *reference.parameters()), strict=True))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in (*target.modules(), *reference.modules()))


def test_what_cannot_be_compared_is_refused():
    class Small(hosts.Gpt):
        vocab_size = 11

    with pytest.raises(DoctorError, match="knows 11 tokens and Gpt 23"):
        against(Small(), hosts.Gpt())
    with pytest.raises(DoctorError, match="takes vectors and Gpt tokens"):
        against(torch.nn.TransformerEncoderLayer(12, 2, 16, batch_first=True), hosts.Gpt())
