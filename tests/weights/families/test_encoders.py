"""BERT's and ModernBERT's tables beyond their own classes: older names, older configurations, what is refused."""

from dataclasses import replace

import pytest
import torch

import oneblock
from oneblock.config import LayerNorm, MeanPool, NoHead, NoNorm, Rope, TransformedHead, presets
from oneblock.inspect.statistics import parameters
from oneblock.weights.errors import WeightsError
from oneblock.weights.families import family_of
from oneblock.weights.families.bert import BERT, BERT_WITHOUT_HEAD
from oneblock.weights.families.modernbert import MODERNBERT
from oneblock.weights.options import Options
from oneblock.weights.reading import checkpoint, named
from oneblock.weights.source import InMemory
from oneblock.weights.writing import express

FIELDS = {
    "model_type": "bert",
    "vocab_size": 29,
    "hidden_size": 21,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 31,
    "max_position_embeddings": 13,
}
IDS = torch.tensor([[3, 17, 5, 28, 0], [9, 2, 2, 11, 7]])


def stirred(family, fields):
    """A model of the family's configuration with random weights, and its tensors under their names."""
    model = family.read(Options(fields, "here", defaults=family.defaults))
    built = oneblock.build(model).double().eval()
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_()
    said = express(named(family.name, model))
    assert said.family is family
    return built, dict(said.tensors(built.state_dict()))


def read(fields, tensors):
    return checkpoint(family_of(fields, "here"), fields, InMemory(tensors, "here"))


@torch.no_grad()
def test_every_way_in_which_berts_names_were_written():
    built, tensors = stirred(BERT, FIELDS)
    masked = FIELDS | {"architectures": ["BertForMaskedLM"]}
    bare = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
    early = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in tensors.items()
    }
    copied = tensors | {
        "cls.predictions.decoder.weight": tensors["bert.embeddings.word_embeddings.weight"],
        "cls.predictions.decoder.bias": tensors["cls.predictions.bias"],
        "cls.seq_relationship.weight": torch.zeros(2, 21),
        "bert.pooler.dense.bias": torch.zeros(21),
        "bert.embeddings.position_ids": torch.arange(13)[None],
    }
    for form in (tensors, bare, early, copied):
        torch.testing.assert_close(read(masked, form).model()(IDS), built(IDS), rtol=0, atol=0)
    assert read(masked, copied).left_aside == sorted(copied.keys() - tensors.keys())
    with pytest.raises(WeightsError, match=r"cls.predictions.decoder.bias and cls.predictions.bias are one tensor"):
        read(masked, copied | {"cls.predictions.decoder.bias": torch.ones(29).double()})
    x = built.norm(built.stream(IDS))
    # Where nothing says what it is, it is the model without its head.
    for fields in (FIELDS, FIELDS | {"architectures": ["BertModel"]}):
        for form in (tensors, early, copied, {n: t for n, t in bare.items() if not n.startswith("cls.")}):
            model = read(fields, form).model()
            assert isinstance(model.config.head, NoHead) and model.config.pool == MeanPool(normalise=True)
            torch.testing.assert_close(model(IDS), x, rtol=0, atol=0)


@torch.no_grad()
def test_an_untied_head_is_its_own():
    built, tensors = stirred(BERT, FIELDS | {"tie_word_embeddings": False})
    assert not built.config.head.tied and "cls.predictions.decoder.weight" in tensors
    fields = FIELDS | {"tie_word_embeddings": False, "architectures": ["BertForPreTraining"]}
    torch.testing.assert_close(read(fields, tensors).model()(IDS), built(IDS), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"position_embedding_type": "relative_key"}, "'relative_key' is not supported; supported: 'absolute'"),
        ({"is_decoder": True}, "is_decoder=True"),
        ({"hidden_act": "mish"}, "hidden_act='mish'"),
        ({"num_attention_heads": 4}, "must divide width=21"),
        ({"architectures": ["BertForNextSentencePrediction"]}, "BertForMaskedLM, BertForPreTraining, BertModel"),
    ],
)
def test_what_bert_cannot_be_here(more, words):
    _, tensors = stirred(BERT_WITHOUT_HEAD, FIELDS)
    with pytest.raises(WeightsError, match=words):
        read(FIELDS | more, tensors)


MODERN = {"model_type": "modernbert"} | {
    name: FIELDS[name] for name in ("vocab_size", "num_attention_heads", "intermediate_size", "max_position_embeddings")
}
MODERN |= {"hidden_size": 18, "num_hidden_layers": 7, "local_attention": 6}


def modern(**more):
    return MODERNBERT.read(Options(MODERN | more, "here", defaults=MODERNBERT.defaults))


def test_modernberts_layers():
    model = modern(global_attn_every_n_layers=3, global_rope_theta=80_000.0, local_rope_theta=500.0)
    windows = [block.attention.window for block in model.blocks]
    assert windows == [None, 4, 4, None, 4, 4, None]
    for block in model.blocks:
        assert block.attention.position == Rope(theta=80_000.0 if block.attention.window is None else 500.0)
    plain = LayerNorm(bias=False)
    assert [block.only("attention").norm for block in model.blocks] == [NoNorm(), *[plain] * 6]
    assert all(block.only("feed_forward").norm == plain for block in model.blocks)
    assert model.embedding_norm == model.final_norm == plain
    thetas = {block.attention.position.theta for block in modern().blocks}
    assert thetas == {160_000.0, 10_000.0}
    newer = {
        "full_attention": {"rope_type": "default", "rope_theta": 7.0},
        "sliding_attention": {"rope_type": "linear", "factor": 4.0, "rope_theta": 9.0},
    }
    ropes = {block.attention.window: block.attention.position for block in modern(rope_parameters=newer).blocks}
    assert ropes[None].theta == 7 and (ropes[4].theta, ropes[4].scaling.factor) == (9, 4)


def test_modernberts_layers_must_be_known():
    with pytest.raises(WeightsError, match="layer_types has 6 entries and num_hidden_layers is 7"):
        modern(layer_types=["full_attention"] * 6)
    with pytest.raises(WeightsError, match="layer_types has 'other'; supported: sliding_attention, full_attention"):
        modern(layer_types=["full_attention"] * 6 + ["other"])


def test_a_model_of_ours_goes_out_as_bert_and_what_stands_in_the_way_is_named():
    model = BERT_WITHOUT_HEAD.read(Options(FIELDS, "here", defaults=BERT_WITHOUT_HEAD.defaults))
    ours = replace(model, embedding_dropout=0.1, blocks=(replace(model.blocks[0], dropout=0.2),))
    assert express(named("my own", ours)).fields["architectures"] == ["BertModel"]
    masked = replace(ours, head=TransformedHead(norm=LayerNorm(eps=1e-12)))
    assert express(named("my own", masked)).fields["architectures"] == ["BertForMaskedLM"]
    for changed, words in (
        (replace(ours, num_segments=None), "bert: num_segments=none, and there it is 1"),
        (replace(ours, head=TransformedHead(norm=LayerNorm(eps=1e-5))), "bert-mlm: head.norm.eps"),
        (presets.encoder_nano().model, "modernbert: "),
    ):
        with pytest.raises(WeightsError, match=words):
            express(named("my own", changed))


def test_published_numbers_of_parameters():
    def count(family, **fields):
        return sum(parameters(family.read(Options(fields, "here", defaults=family.defaults))).values())

    pooler = 768 * 768 + 768
    assert count(BERT) == 109_514_298 and count(BERT_WITHOUT_HEAD) + pooler == 109_482_240
    minilm = {"hidden_size": 384, "num_hidden_layers": 6, "intermediate_size": 1536}
    assert count(BERT_WITHOUT_HEAD, **minilm) + 384 * 384 + 384 == 22_713_216
    assert count(MODERNBERT) == 149_655_232
