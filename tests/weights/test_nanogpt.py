"""nanoGPT's checkpoint, against its equations written out here: q, k, v in one matrix, exact GELU, no bias or all."""

import contextlib
import math
import pickle

import pytest
import torch
import torch.nn.functional as F

import oneblock
from oneblock.weights.errors import WeightsError
from oneblock.weights.nanogpt import open_ckpt
from oneblock.weights.writing import express

V, D, H, L, CONTEXT = 13, 12, 3, 2, 8
ARGS = {"n_layer": L, "n_head": H, "n_embd": D, "block_size": CONTEXT, "vocab_size": V, "dropout": 0.2}
TOKENS = torch.tensor([[1, 5, 2, 12, 7], [0, 3, 3, 8, 11]])


def tensors(bias):
    made = {"transformer.wte.weight": (V, D), "transformer.wpe.weight": (CONTEXT, D)}
    for layer in range(L):
        at = f"transformer.h.{layer}"
        made |= {f"{at}.ln_1.weight": (D,), f"{at}.ln_2.weight": (D,)}
        made |= {f"{at}.attn.c_attn.weight": (3 * D, D), f"{at}.attn.c_proj.weight": (D, D)}
        made |= {f"{at}.mlp.c_fc.weight": (4 * D, D), f"{at}.mlp.c_proj.weight": (D, 4 * D)}
    made["transformer.ln_f.weight"] = (D,)
    if bias:
        made |= {name.replace("weight", "bias"): shape[:1] for name, shape in made.items() if ".w" not in name[:14]}
    generator = torch.Generator().manual_seed(0)
    found = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in made.items()}
    found["lm_head.weight"] = found["transformer.wte.weight"]
    return found


def nanogpt(weights, tokens):
    x = weights["transformer.wte.weight"][tokens] + weights["transformer.wpe.weight"][: tokens.shape[1]]

    def linear(x, name):
        return F.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))

    def norm(x, name):
        return F.layer_norm(x, (D,), weights[f"{name}.weight"], weights.get(f"{name}.bias"), 1e-5)

    for layer in range(L):
        at = f"transformer.h.{layer}"
        q, k, v = linear(norm(x, f"{at}.ln_1"), f"{at}.attn.c_attn").split(D, dim=2)
        q, k, v = (each.unflatten(2, (H, D // H)).transpose(1, 2) for each in (q, k, v))
        scores = q @ k.transpose(2, 3) / math.sqrt(D // H)
        hidden = torch.ones(scores.shape[-2:]).triu(1).bool()
        heads = scores.masked_fill(hidden, -math.inf).softmax(-1) @ v
        x = x + linear(heads.transpose(1, 2).flatten(2), f"{at}.attn.c_proj")
        x = x + linear(F.gelu(linear(norm(x, f"{at}.ln_2"), f"{at}.mlp.c_fc")), f"{at}.mlp.c_proj")
    return norm(x, "transformer.ln_f") @ weights["transformer.wte.weight"].T


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_checkpoint_gives_equal_logits(tmp_path, bias, compiled):
    weights = tensors(bias)
    named = {f"_orig_mod.{name}" if compiled else name: tensor for name, tensor in weights.items()}
    content = {"model": named, "model_args": ARGS | {"bias": bias}, "iter_num": 7, "best_val_loss": torch.tensor(1.5)}
    torch.save(content | {"optimizer": {"state": {}}, "config": {"out_dir": "out"}}, tmp_path / "ckpt.pt")
    checkpoint = open_ckpt(tmp_path / "ckpt.pt")
    assert checkpoint.unread == []
    with torch.no_grad():
        assert (checkpoint.model()(TOKENS) - nanogpt(weights, TOKENS)).abs().max() < 1e-12


def test_it_goes_out_as_gpt2_with_the_exact_gelu(tmp_path):
    torch.save({"model": tensors(False), "model_args": ARGS | {"bias": False}}, tmp_path / "ckpt.pt")
    said = express(open_ckpt(tmp_path / "ckpt.pt").config)
    assert (said.family.name, said.fields["activation_function"]) == ("gpt2", "gelu")


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_other_objects_are_never_made(tmp_path):
    path = tmp_path / "ckpt.pt"
    torch.save({"model": tensors(False), "model_args": ARGS, "extra": Trap(tmp_path / "sprung")}, path)
    with pytest.raises(WeightsError, match="holds objects besides tensors and plain values") as told:
        open_ckpt(path)
    assert "weights_only" not in str(told.value)
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(WeightsError):
        open_ckpt(path)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 cut off"])
def test_a_damaged_file(tmp_path, content):
    (tmp_path / "ckpt.pt").write_bytes(content)
    with pytest.raises(WeightsError, match=r"ckpt\.pt"):
        open_ckpt(tmp_path / "ckpt.pt")


def test_damaged_bytes_never_escape_as_another_error(tmp_path):
    path, generator = tmp_path / "ckpt.pt", torch.Generator().manual_seed(0)
    torch.save({"model": tensors(False), "model_args": ARGS}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    for _ in range(150):
        raw = bytearray(whole)
        for place in torch.randint(2, 2000, (3,), generator=generator).tolist():
            raw[place] = int(torch.randint(256, (), generator=generator))
        path.write_bytes(raw)
        with contextlib.suppress(oneblock.OneblockError):
            open_ckpt(path)


@pytest.mark.parametrize("content", [{"model": {}}, [1, 2], {"model": 3, "model_args": ARGS}])
def test_another_checkpoint(tmp_path, content):
    torch.save(content, tmp_path / "ckpt.pt")
    with pytest.raises(WeightsError, match="needs `model` and `model_args`"):
        open_ckpt(tmp_path / "ckpt.pt")


def test_what_does_not_fit_is_listed(tmp_path):
    weights = tensors(False)
    del weights["transformer.h.1.mlp.c_fc.weight"]
    torch.save({"model": weights, "model_args": ARGS | {"bias": False}}, tmp_path / "ckpt.pt")
    with pytest.raises(WeightsError, match=r"missing: transformer\.h\.1\.mlp\.c_fc\.weight"):
        open_ckpt(tmp_path / "ckpt.pt")
    torch.save({"model": tensors(False), "model_args": {"n_layer": 2}}, tmp_path / "ckpt.pt")
    with pytest.raises(oneblock.OneblockError, match="vocab_size is missing"):
        open_ckpt(tmp_path / "ckpt.pt")
