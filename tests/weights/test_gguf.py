import sys

import pytest
import torch
from small_gguf import write

import oneblock
from oneblock.config import Attention, Block, Decoder, Gated, Llama3Scaling, RMSNorm, Rope
from oneblock.nn.rope import frequencies
from oneblock.weights import gguf, gguf_file
from oneblock.weights.errors import WeightsError
from oneblock.weights.gguf import is_gguf, open_gguf
from oneblock.weights.gguf_file import GGUFFile


def decoder(width=24, hidden=37, vocab=300, tied=True, **position):
    return Decoder(
        vocab_size=vocab, context=23, width=width, num_layers=3, tied=tied, position=Rope(theta=77.0, **position),
        blocks=(
            Block(
                norm=RMSNorm(eps=1e-5), attention=Attention(num_heads=3, num_kv_heads=1, head_width=10, bias=False),
                feed_forward=Gated(activation="silu", hidden=hidden),
            ),
        ),
    )  # fmt: skip


def stirred(config):
    model = oneblock.build(config, seed=3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model.eval()


@pytest.mark.parametrize("tied", [True, False])
def test_a_file_gives_the_model_it_was_written_from(tmp_path, tied):
    config = decoder(tied=tied)
    model = stirred(config)
    opened = open_gguf(write(tmp_path / "m.gguf", config, model.state_dict()))
    assert opened.family.name == opened.config.name == "llama"
    assert opened.unread == opened.left_aside == []
    made = opened.model()
    assert {name: tensor.dtype for name, tensor in made.state_dict().items()} == dict.fromkeys(
        model.state_dict(), torch.float32
    )
    for name, tensor in model.state_dict().items():
        assert torch.equal(made.state_dict()[name], tensor), name
    tokens = torch.randint(300, (2, 7))
    assert torch.equal(made(tokens), model(tokens))
    assert open_gguf(tmp_path / "m.gguf").model(torch.bfloat16).embedding.weight.dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("kind", "wrong_by"), [("Q8_0", 0.01), ("Q4_1", 0.15), ("Q4_0", 0.2), ("F16", 1e-3), ("BF16", 1e-2)]
)
def test_quantised(tmp_path, kind, wrong_by):
    config = decoder(width=32, hidden=64)
    config = oneblock.override(config, "block.attention.head_width=32")
    model = stirred(config)
    made = open_gguf(write(tmp_path / "m.gguf", config, model.state_dict(), quantised=kind)).model()
    for name, tensor in model.state_dict().items():
        error = (made.state_dict()[name] - tensor).abs().max()
        assert (error == 0) if tensor.dim() == 1 else 0 < error < wrong_by * tensor.abs().max(), name


def test_llama3s_scaling_is_recognised_by_its_factors(tmp_path):
    config = decoder()
    rule = Llama3Scaling(factor=8.0, low=1.0, high=4.0, original_context=8192)
    plain, scaled = (frequencies(Rope(theta=500_000.0, scaling=each), 64)[0] for each in (Rope().scaling, rule))
    factors = (plain / scaled).float()
    assert factors.min() == 1 and factors.max() == 8 and len(factors.unique()) > 3
    config = oneblock.override(config, "position.theta=500000", "block.attention.head_width=64")
    state = stirred(config).state_dict()
    extra = {"rope_freqs.weight": factors}
    opened = open_gguf(write(tmp_path / "m.gguf", config, state, extra=extra))
    assert opened.config.model.position.scaling == rule and opened.left_aside == ["rope_freqs.weight"]
    with pytest.raises(WeightsError, match="not Llama 3's"):
        open_gguf(write(tmp_path / "n.gguf", config, state, extra={"rope_freqs.weight": factors.flip(0)}))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"architecture": "mamba"}, "architecture 'mamba', which is not supported; supported in GGUF files: llama"),
        ({"fields": {"llama.expert_count": 8}}, "expert_count=8 is not supported"),
        ({"fields": {"llama.rope.scaling.type": "yarn"}}, "rope.scaling.type='yarn' is not supported"),
        ({"extra": {"blk.0.attn_q.bias": torch.ones(3)}}, r"unexpected: blk.0.attn_q.bias"),
        ({"extra": {"output.weight": torch.ones(300, 23)}}, r"output.weight is \[300, 23\] and should be \[300, 24\]"),
    ],
)
def test_what_cannot_be_said_here_is_refused(tmp_path, more, words):
    config = decoder()
    path = write(tmp_path / "m.gguf", config, stirred(config).state_dict(), **more)
    with pytest.raises(WeightsError, match=words):
        open_gguf(path)


def test_a_missing_tensor_is_named(tmp_path):
    config = decoder()
    path = write(tmp_path / "m.gguf", config, stirred(config).state_dict())
    path.write_bytes(path.read_bytes().replace(b"blk.1.ffn_up", b"blk.1.ffn_xy"))
    with pytest.raises(WeightsError, match=r"missing: blk.1.ffn_up.weight; unexpected: blk.1.ffn_xy.weight"):
        open_gguf(path)


def test_what_is_a_gguf_file(tmp_path):
    (tmp_path / "a").write_bytes(b"GGUF and more")
    (tmp_path / "b.GGUF").write_bytes(b"")
    (tmp_path / "c").write_bytes(b"PK")
    assert [is_gguf(tmp_path / name) for name in ("a", "b.GGUF", "c", "none", "")] == [True, True, False, False, False]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    config = decoder()
    return write(tmp_path_factory.mktemp("gguf") / "m.gguf", config, stirred(config).state_dict()).read_bytes()


def test_a_file_cut_anywhere_is_refused(whole, tmp_path):
    path = tmp_path / "m.gguf"
    for length in [*range(0, 3000, 97), *range(3000, len(whole) - 1, len(whole) // 60), len(whole) - 1]:
        path.write_bytes(whole[:length])
        with pytest.raises(WeightsError, match=r"damaged or cut short|no GGUF file|cannot be read"):
            GGUFFile(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("head_count", 0), ("head_count", 7), ("embedding_length", 0), ("layer_norm_rms_epsilon", 0x7FC00000),
        ("context_length", 0), ("block_count", 2**32 - 1), ("feed_forward_length", 5), ("head_count_kv", 2),
    ],
)  # fmt: skip
def test_a_description_that_makes_no_sense(whole, tmp_path, field, value):
    place = whole.index(field.encode()) + len(field) + 4
    (tmp_path / "m.gguf").write_bytes(whole[:place] + value.to_bytes(4, "little") + whole[place + 4 :])
    with pytest.raises(WeightsError):
        open_gguf(tmp_path / "m.gguf")


def test_damaged_bytes_never_escape_as_another_error(whole, tmp_path):
    path, generator = tmp_path / "m.gguf", torch.Generator().manual_seed(0)
    for _ in range(60):
        raw = bytearray(whole)
        for place in torch.randint(4, 12000, (3,), generator=generator).tolist():
            raw[place] = int(torch.randint(256, (), generator=generator))
        path.write_bytes(raw)
        gguf_file._header.cache_clear()
        try:
            open_gguf(path)
        except WeightsError as error:
            assert str(path) in str(error)


def test_a_fault_of_ours_is_not_called_damage(whole, tmp_path, monkeypatch):
    (tmp_path / "m.gguf").write_bytes(whole)
    monkeypatch.setattr(gguf, "checkpoint", lambda *arguments: len(3))
    with pytest.raises(TypeError, match="has no len"):
        open_gguf(tmp_path / "m.gguf")


@pytest.mark.parametrize("field", ["general.architecture", "general.alignment"])
def test_a_word_where_a_number_stands_and_a_number_where_a_word(tmp_path, field):
    config = decoder()
    path = write(tmp_path / "m.gguf", config, stirred(config).state_dict(), fields={"general.alignment": 32})
    raw = path.read_bytes()
    place = raw.index(field.encode()) + len(field)
    kind, length = (
        int.from_bytes(raw[place : place + 4], "little"),
        int.from_bytes(raw[place + 4 : place + 12], "little"),
    )
    if kind == 8:  # a text becomes an array of as many numbers of one byte
        array = (9).to_bytes(4, "little") + (0).to_bytes(4, "little") + length.to_bytes(8, "little")
        path.write_bytes(raw[:place] + array + raw[place + 12 :])
    else:  # a number of four bytes becomes one with a point
        path.write_bytes(raw[:place] + (6).to_bytes(4, "little") + raw[place + 4 :])
    with pytest.raises(WeightsError, match=r"m\.gguf"):
        open_gguf(path)


def test_the_description_is_parsed_once_and_anew_when_the_file_changes(whole, tmp_path):
    path = tmp_path / "m.gguf"
    path.write_bytes(whole)
    gguf_file._header.cache_clear()
    first, second = GGUFFile(path), GGUFFile(path)
    assert first.fields is second.fields and gguf_file._header.cache_info().misses == 1
    place = whole.index(b"context_length") + len("context_length") + 4
    path.write_bytes(whole[:place] + (19).to_bytes(4, "little") + whole[place + 4 :] + bytes(1))
    assert GGUFFile(path).fields["llama.context_length"] == 19 != first.fields["llama.context_length"]


def test_a_quantisation_that_the_package_cannot_undo_is_refused_before_anything_is_read(tmp_path, monkeypatch):
    config = oneblock.override(decoder(width=32, hidden=64), "block.attention.head_width=32")
    path = write(tmp_path / "m.gguf", config, stirred(config).state_dict(), quantised="Q8_0")
    raw = path.read_bytes()
    place = raw.index(b"token_embd.weight") + len("token_embd.weight") + 4 + 2 * 8
    assert raw[place : place + 4] == (8).to_bytes(4, "little")
    path.write_bytes(raw[:place] + (9).to_bytes(4, "little") + raw[place + 4 :])
    monkeypatch.setattr(GGUFFile, "get", lambda *arguments: pytest.fail("read"))
    with pytest.raises(WeightsError, match="token_embd.weight is quantised as Q8_1, which is not supported"):
        open_gguf(path)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"PK\3\4" + bytes(100), "no GGUF file: it begins with b'PK"),
        (b"GGUF" + (1).to_bytes(4, "little") + bytes(16), "GGUF's version 1; versions 2 and 3"),
        (b"GGUF" + (3).to_bytes(4, "big") + bytes(16), "version 50331648; versions 2 and 3, little-endian"),
        (b"GGUF" + (3).to_bytes(4, "little") + b"\xff" * 16, "damaged or cut short"),
    ],
)
def test_foreign_files(tmp_path, raw, words):
    (tmp_path / "m.gguf").write_bytes(raw)
    with pytest.raises(WeightsError, match=words):
        open_gguf(tmp_path / "m.gguf")


def test_without_the_package(tmp_path, whole, monkeypatch):
    (tmp_path / "m.gguf").write_bytes(whole)
    monkeypatch.setitem(sys.modules, "gguf", None)
    with pytest.raises(WeightsError, match=r"not installed: pip install 'oneblock\[gguf\]'"):
        open_gguf(tmp_path / "m.gguf")


def test_the_packages_own_reader_reads_the_same(whole, tmp_path):
    theirs = pytest.importorskip("gguf")
    path = tmp_path / "m.gguf"
    path.write_bytes(whole)
    theirs, ours = theirs.GGUFReader(path), GGUFFile(path)
    described = {name: field.contents() for name, field in theirs.fields.items() if not name.startswith("GGUF.")}
    assert described == ours.fields
    assert {each.name: tuple(each.shape[::-1].tolist()) for each in theirs.tensors} == ours.shapes
    for each in theirs.tensors:
        assert torch.equal(torch.from_numpy(each.data.copy()), ours.get(each.name))
