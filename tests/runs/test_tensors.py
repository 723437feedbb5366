import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from oneblock.runs.tensors import _DTYPES, num_bytes, read_tensors, write_tensors


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def random_bits(dtype: torch.dtype, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    if dtype == torch.bool:
        return torch.rand(shape, generator=generator) < 0.5
    width = torch.empty(0, dtype=dtype).element_size()
    raw = torch.randint(0, 256, (torch.Size(shape).numel() * width,), dtype=torch.uint8, generator=generator)
    return raw.view(dtype).reshape(shape)


@pytest.mark.parametrize("dtype", _DTYPES, ids=str)
def test_every_bit_comes_back(tmp_path: Path, dtype: torch.dtype) -> None:
    # Random bits hold NaNs with payloads, subnormals and both zeros.
    tensors = {
        "matrix": random_bits(dtype, 7, 5),
        "scalar": random_bits(dtype, 1)[0],
        "empty": random_bits(dtype, 0),
        "no_columns": random_bits(dtype, 3, 0, 2),
        "transposed": random_bits(dtype, 5, 3).t(),
        "every_other": random_bits(dtype, 11)[1::2],
    }
    path = tmp_path / "t.safetensors"
    seal = write_tensors(path, tensors, meta='{"a": "é"}')
    assert seal.size == path.stat().st_size
    found, meta = read_tensors(path)
    assert meta == '{"a": "é"}'
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == dtype
        assert found[name].shape == tensor.shape
        assert bits(found[name]) == bits(tensor), name
        assert found[name].is_contiguous()


def test_mixed_widths_are_aligned_and_the_library_reads_them(tmp_path: Path) -> None:
    tensors = {
        "a": torch.tensor([True]), "b": torch.randn(3).bfloat16(), "c": torch.randn(5, dtype=torch.float64),
        "d": torch.arange(7), "e": torch.randn(11), "f": torch.zeros(0), "é/ü": torch.randn(2, 3),
    }  # fmt: skip
    path = tmp_path / "t.safetensors"
    write_tensors(path, tensors)
    found = load_file(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert length % 8 == 0
    for name, tensor in tensors.items():
        assert header[name]["data_offsets"][0] % tensor.element_size() == 0
    assert num_bytes(tensors) == len(data) - 8 - length


def test_a_plain_file_of_the_library_reads_as_well(tmp_path: Path) -> None:
    path = tmp_path / "t.safetensors"
    save_file({"w": torch.ones(3)}, path)
    tensors, meta = read_tensors(path)
    assert torch.equal(tensors["w"], torch.ones(3))
    assert meta == ""


def test_tied_tensors_are_stored_once_and_come_back_tied(tmp_path: Path) -> None:
    embedding = torch.nn.Embedding(13, 5)
    head = torch.nn.Linear(5, 13, bias=False)
    head.weight = embedding.weight
    tensors = {"embedding": embedding.weight, "head": head.weight, "copy": embedding.weight.detach().clone()}
    path = tmp_path / "t.safetensors"
    write_tensors(path, tensors)
    assert num_bytes(tensors) == 2 * 13 * 5 * 4
    assert path.stat().st_size < 2 * 13 * 5 * 4 + 600
    found, _ = read_tensors(path)
    assert found["head"].data_ptr() == found["embedding"].data_ptr() != found["copy"].data_ptr()
    assert torch.equal(found["head"], embedding.weight)


def test_views_of_one_memory_are_each_right(tmp_path: Path) -> None:
    base = torch.arange(35.0).reshape(5, 7)
    complex_ = torch.view_as_complex(torch.randn(3, 2))
    tensors = {
        "base": base, "transposed": base.t(), "rows": base[:3], "flat": base.view(35),
        "wide": base.expand(2, 5, 7), "square": base[:5, :5], "square_t": base[:5, :5].t(),
        "as_int": base.view(torch.int32),
        "complex": complex_, "conjugate": complex_.conj(), "negative": complex_.conj().imag,
    }  # fmt: skip
    path = tmp_path / "t.safetensors"
    write_tensors(path, tensors)
    found, _ = read_tensors(path)
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor), name


def test_what_the_format_cannot_hold(tmp_path: Path) -> None:
    for bad in (
        torch.eye(3).to_sparse(),
        torch.empty(3, device="meta"),
        torch.zeros(2, dtype=torch.complex128),
    ):
        with pytest.raises(TypeError, match=r"cannot hold w "):
            write_tensors(tmp_path / "t.safetensors", {"w": bad})
    with pytest.raises(TypeError, match=r"__metadata__"):
        write_tensors(tmp_path / "t.safetensors", {"__metadata__": torch.ones(2)})
    assert not list(tmp_path.iterdir())


def test_no_tensors_at_all(tmp_path: Path) -> None:
    write_tensors(tmp_path / "t.safetensors", {})
    assert read_tensors(tmp_path / "t.safetensors") == ({}, "")
