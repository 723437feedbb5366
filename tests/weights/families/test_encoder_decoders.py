"""Tables of encoder-decoders beyond their own classes: how files tell of heads, experts' layers, what goes out."""

from dataclasses import replace

import pytest
import torch

import oneblock
from oneblock.config import Dense, Gated, LayerNorm, Sinusoidal, Switch, override, presets
from oneblock.inspect.statistics import parameters
from oneblock.weights.errors import WeightsError
from oneblock.weights.families import family_of
from oneblock.weights.families.bart import BART, MARIAN
from oneblock.weights.families.switch import SWITCH
from oneblock.weights.families.t5 import T5
from oneblock.weights.options import Options
from oneblock.weights.reading import checkpoint, named
from oneblock.weights.source import InMemory
from oneblock.weights.writing import express

FIELDS = {"vocab_size": 29, "d_model": 18, "d_kv": 5, "d_ff": 31, "num_layers": 4, "num_heads": 3, "n_positions": 16}
SMALL = {"vocab_size": 29, "d_model": 18, "max_position_embeddings": 13} | {
    f"{side}_{name}": number
    for side in ("encoder", "decoder")
    for name, number in (("layers", 2), ("attention_heads", 3), ("ffn_dim", 31))
}
SOURCE, TARGET = torch.tensor([[3, 17, 5, 28, 0]]), torch.tensor([[9, 2, 11]])


def read(family, names=None, **fields):
    return family.read(Options(fields, "here", names, family.defaults))


def built_of(family, model):
    built = oneblock.build(model).double().eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_()
    return built, dict(express(named(family.name, model)).tensors(built.state_dict()))


def read_tensors(family, fields, tensors):
    return checkpoint(family, fields, InMemory(tensors, "here"))


@pytest.mark.parametrize(
    ("said", "has_head", "tied", "scaled"),
    [
        # Up to transformers 4 one field tells of both.
        ({}, False, True, True),
        ({"tie_word_embeddings": True}, True, True, True),
        ({"tie_word_embeddings": False}, True, False, False),
        # Since 5 that field is always true.
        ({"tie_word_embeddings": True, "scale_decoder_outputs": True}, False, True, True),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, True, False, False),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": False}, False, True, False),
        ({"tie_word_embeddings": True, "scale_decoder_outputs": True}, True, False, True),
        # As we write it.
        ({"tie_word_embeddings": False, "scale_decoder_outputs": True}, True, False, True),
    ],
)
def test_t5s_head(said, has_head, tied, scaled):
    names = ["shared.weight", *(["lm_head.weight"] if has_head else [])]
    model = read(T5, names, **FIELDS, **said)
    assert (model.tied, model.head_scale, model.shared_embedding) == (tied, scaled, True)
    written = express(named("t5", model)).fields
    again = read(T5, ["shared.weight", *([] if tied else ["lm_head.weight"])], **written)
    assert (again.tied, again.head_scale) == (tied, scaled)


@torch.no_grad()
def test_t5s_copies_of_its_table():
    built, tensors = built_of(T5, read(T5, **FIELDS))
    table = tensors["shared.weight"]
    copies = dict.fromkeys(("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"), table)
    idle = {"decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight": torch.zeros(32, 3)}
    opened = read_tensors(T5, FIELDS, tensors | copies | idle)
    assert opened.left_aside == sorted(copies | idle)
    torch.testing.assert_close(opened.model()(SOURCE, TARGET), built(SOURCE, TARGET), rtol=0, atol=0)
    with pytest.raises(WeightsError, match="lm_head.weight and shared.weight are one tensor by the configuration"):
        read_tensors(T5, FIELDS, tensors | copies | {"lm_head.weight": table + 1})


@torch.no_grad()
def test_t5s_encoder_out_of_a_whole_t5():
    built, tensors = built_of(T5, read(T5, **FIELDS, feed_forward_proj="gated-gelu"))
    fields = FIELDS | {"feed_forward_proj": "gated-gelu", "architectures": ["T5EncoderModel"], "model_type": "t5"}
    opened = read_tensors(family_of(fields, "here"), fields, tensors)
    assert all(name.startswith("decoder.") for name in opened.left_aside)
    torch.testing.assert_close(opened.model()(SOURCE), built.encode(SOURCE), rtol=0, atol=0)
    said = express(opened.config)
    assert said.fields["architectures"] == ["T5EncoderModel"]
    assert dict(said.tensors(opened.tensors())).keys() == tensors.keys() - set(opened.left_aside)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, Dense(activation="relu", hidden=31)),
        ({"feed_forward_proj": "gelu"}, Dense(activation="gelu", hidden=31)),
        ({"feed_forward_proj": "gated-gelu"}, Gated(activation="gelu_tanh", hidden=31)),
        ({"feed_forward_proj": "gated-silu"}, Gated(activation="silu", hidden=31)),
        ({"feed_forward_proj": "gated-gelu", "dense_act_fn": "gelu"}, Gated(activation="gelu", hidden=31)),
    ],
)
def test_t5s_feed_forward(said, expected):
    model = read(T5, **FIELDS, **said)
    assert model.encoder.blocks[0].feed_forward == model.decoder.blocks[0].feed_forward == expected
    assert read(T5, **express(named("t5", model)).fields).encoder.blocks[0].feed_forward == expected


def sparse(stack):
    return [isinstance(stack.block(layer).feed_forward, Switch) for layer in range(stack.num_layers)]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        # As SwitchTransformersStack counts: every (layers // number)-th layer, the second one first.
        (1, [False, True, False, False]),
        (2, [False, True, False, True]),
        (3, [True] * 4),
        (4, [True] * 4),
    ],
)
def test_which_of_switchs_layers_have_experts(number, expected):
    model = read(SWITCH, **FIELDS, num_decoder_layers=None, num_sparse_encoder_layers=number)
    assert sparse(model.encoder) == expected
    fields = express(named("switch", model)).fields
    assert sparse(read(SWITCH, **fields).encoder) == expected


def test_switchs_experts_and_their_places():
    model = read(SWITCH, **FIELDS, num_experts=3, expert_capacity=7, num_sparse_encoder_layers=2)
    experts = model.encoder.block(1).feed_forward
    assert (experts.num_experts, experts.capacity, experts.capacity_factor, experts.group_size) == (3, 7, None, 16)
    assert experts.expert == model.encoder.block(0).feed_forward == Dense(activation="relu", hidden=31)
    assert express(named("switch", model)).fields["expert_capacity"] == 7
    # One of ours has no limit in evaluation: as many places as a row has tokens.
    free = replace(experts, capacity=None, group_size=None, capacity_factor=1.25)

    def freed(stack):
        blocks = (stack.block(layer) for layer in range(stack.num_layers))
        return tuple(
            replace(block, feed_forward=free) if isinstance(block.feed_forward, Switch) else block for block in blocks
        )

    stacks = {side: getattr(model, side) for side in ("encoder", "decoder")}
    ours = replace(model, **{side: replace(stack, blocks=freed(stack)) for side, stack in stacks.items()})
    assert express(named("switch", ours)).fields["expert_capacity"] == 16
    for field, value in (("router_bias", True), ("router_dtype", "bfloat16"), ("is_gated_act", True)):
        with pytest.raises(WeightsError, match=f"{field}={value!r} is not supported"):
            read(SWITCH, **FIELDS, **{field: value})


@torch.no_grad()
def test_bart_saved_without_its_head():
    built, tensors = built_of(BART, read(BART, ["lm_head.weight"], **SMALL))
    assert "final_logits_bias" not in built.state_dict() and not built.config.head_bias
    bare = {name.removeprefix("model."): tensor for name, tensor in tensors.items()}
    bare |= {f"{side}.embed_tokens.weight": bare["shared.weight"] for side in ("encoder", "decoder")}
    bare |= {"encoder.version": torch.zeros(1)}
    # It goes out with its head and that one's bias, which is zeros.
    assert not bare.pop("final_logits_bias").any()
    opened = read_tensors(BART, SMALL, bare)
    assert not opened.config.model.head_bias
    torch.testing.assert_close(opened.model()(SOURCE, TARGET), built(SOURCE, TARGET), rtol=0, atol=0)
    with pytest.raises(WeightsError, match="normalize_before=True"):
        read_tensors(BART, SMALL | {"normalize_before": True}, bare)


def test_a_model_of_ours_goes_out_as_marian():
    config = override(presets.vaswani(), "encoder.num_layers=2", "decoder.num_layers=2", "width=24")
    with pytest.raises(WeightsError, match=r"marian: encoder.blocks.0.attention_only.norm.eps=1e-06"):
        express(config)
    norm = LayerNorm()
    stacks = {
        side: replace(stack, position=Sinusoidal(layout="concatenated"), blocks=(replace(stack.blocks[0], norm=norm),))
        for side, stack in (("encoder", config.model.encoder), ("decoder", config.model.decoder))
    }
    ours = replace(config.model, **stacks)
    said = express(named("my own", ours))
    assert said.family is MARIAN and said.fields["scale_embedding"] and said.fields["activation_function"] == "relu"
    built = oneblock.build(ours)
    tensors = dict(said.tensors(built.state_dict()))
    assert tensors["final_logits_bias"].shape == (1, 37_000) and not tensors["final_logits_bias"].any()


@torch.no_grad()
def test_marians_two_tables():
    fields = SMALL | {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": 31}
    built, tensors = built_of(MARIAN, read(MARIAN, **fields))
    assert tensors["model.encoder.embed_tokens.weight"].shape == (29, 18)
    assert tensors["model.decoder.embed_tokens.weight"].shape == (31, 18) and "model.shared.weight" not in tensors
    answer = read_tensors(MARIAN, fields, tensors).model()(SOURCE, TARGET)
    torch.testing.assert_close(answer, built(SOURCE, TARGET), rtol=0, atol=0)
    assert answer.shape == (1, 3, 31)


def test_published_numbers_of_parameters():
    def count(family, **fields):
        counts = parameters(read(family, **fields))
        # The bias of logits is no parameter of theirs but a buffer.
        return sum(counts.values()) - (fields.get("vocab_size", 0) if family in (BART, MARIAN) else 0)

    assert count(T5) == 60_506_624
    # Its two tables of positions have two rows each that no place reads.
    assert count(BART, vocab_size=50_265) == 406_291_456 - 2 * 2 * 1024
    sides = ("encoder", "decoder")
    opus = {f"{side}_{name}": size for side in sides for name, size in (("layers", 6), ("attention_heads", 8))}
    opus |= {f"{side}_ffn_dim": 2048 for side in sides} | {"d_model": 512, "vocab_size": 58_101}
    # Its published number counts the two tables of 512 waves.
    assert count(MARIAN, **opus, max_position_embeddings=512) == 74_410_496 - 2 * 512 * 512
