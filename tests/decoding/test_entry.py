"""A compiled graph called from C: the same answers on the same tensors, which are let go, and no call where none fits.

The graphs are written by hand, as PyTorch's compiler writes its own: inputs are theirs to delete, outputs the caller's.
"""

import gc
import os
import shutil
from types import SimpleNamespace

import pytest
import torch

from oneblock.decoding import entry as entries
from oneblock.decoding.entry import Entry, entry
from oneblock.nn import native

needs_kernel = pytest.mark.skipif(
    not any(map(shutil.which, ("g++", "clang++"))) or "ONEBLOCK_NO_KERNELS" in os.environ, reason="needs a compiler"
)
GRAPH = """
#define TORCH_TARGET_VERSION 0x020b000000000000ULL
#include <torch/csrc/stable/c/shim.h>
#include <stdexcept>

// Two outputs: what the first input holds, and the third itself. Throws where the second is not a vector.
void NAME(AtenTensorHandle* inputs, AtenTensorHandle* outputs) {
  int64_t rank = 0;
  aoti_torch_get_dim(inputs[1], &rank);
  if (rank == 1) {
    aoti_torch_clone(inputs[0], outputs);
    aoti_torch_new_tensor_handle(inputs[2], outputs + 1);
  }
  for (int i = 0; i < 3; ++i) aoti_torch_delete_tensor_object(inputs[i]);
  if (rank != 1) throw std::runtime_error("not a vector");
}
"""


class Failed(Exception):
    pass


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The graph's library, and one whose function has another name."""
    folder = tmp_path_factory.mktemp("graph")
    paths = []
    for name in ("inductor_entry_impl", "other"):
        source = folder / f"{name}.cpp"
        source.write_text(GRAPH.replace("NAME", name))
        paths.append(native.load(source)._name)
    return paths


def around(path):
    """Python's function around the one in C++, as PyTorch makes it; called itself, it says so."""
    function = SimpleNamespace(__self__=SimpleNamespace(__file__=path))

    def kernels(inputs):
        raise Failed(function)

    return kernels


def given():
    return [torch.arange(6.0).view(2, 3), torch.zeros(5), torch.ones(3)]


def called(path, inputs):
    return entry(around(path), inputs, (inputs[0].clone(), inputs[2]))


@needs_kernel
def test_the_first_output_of_the_tensors_as_they_are_then(built):
    inputs = given()
    again = called(built[0], inputs)
    assert isinstance(again, Entry)
    first = again()
    assert torch.equal(first, inputs[0]) and first.data_ptr() != inputs[0].data_ptr()
    inputs[0] += 1
    assert torch.equal(again(), inputs[0]) and torch.equal(first, inputs[0] - 1)
    inputs[0].data = torch.full((7,), 3.0)
    assert torch.equal(again(), inputs[0])


@needs_kernel
def test_tensors_are_held_as_long_as_it_is_and_no_longer(built):
    inputs = given()
    before = [x._use_count() for x in inputs]
    again = called(built[0], inputs)
    for _ in range(5):
        again()
    assert [x._use_count() for x in inputs] == [count + 1 for count in before]
    del again
    gc.collect()
    assert [x._use_count() for x in inputs] == before


@needs_kernel
def test_what_fails_is_left_to_python(built):
    inputs = given()
    again = called(built[0], inputs)
    counts = [x._use_count() for x in inputs]
    inputs[1].data = torch.zeros(2, 2)
    with pytest.raises(Failed):
        again()
    assert [x._use_count() for x in inputs] == counts
    inputs[1].data = torch.zeros(2)
    assert torch.equal(again(), inputs[0])


@needs_kernel
def test_none_where_it_is_not_one_function_of_that_name(built):
    x = torch.zeros(2)
    assert called(built[1], given()) is None
    assert called("/nowhere/graph.so", given()) is None
    assert entry(lambda inputs: [x], [x], [x]) is None
    assert entry(lambda inputs: (x, built), [x], [x]) is None
    assert entry(torch.relu, [x], [x]) is None
    assert entry(around(built[0]), [x, 3], [x]) is None
    assert entry(around(built[0]), [x], [x, None]) is None


def test_none_without_a_library(monkeypatch, tmp_path):
    monkeypatch.setattr(entries, "_library", lambda: None)
    assert entry(around(str(tmp_path)), given(), given()[:1]) is None


@needs_kernel
@pytest.mark.parametrize("less", [None, SimpleNamespace(unsafe_alloc_void_ptr_from_tensor=id)])
def test_no_library_where_pytorch_lacks_what_makes_tensors(monkeypatch, less):
    monkeypatch.setattr(torch._C, "_aoti", less)
    entries._library.cache_clear()
    try:
        assert entries._library() is None
    finally:
        entries._library.cache_clear()


@pytest.mark.slow
@needs_kernel
@torch.no_grad()
def test_pytorchs_compiler_writes_such_graphs():
    """Also what it is worth: one that is compiled is called from C."""
    from oneblock.decoding.replay import replayed, watched

    x = torch.linspace(-1, 1, 11)
    step = torch.compile(lambda: x.sin() + 1, backend=watched, options={"cpp_wrapper": True})
    answer, again = replayed(step)
    assert isinstance(again, Entry)
    x *= 2
    torch.testing.assert_close(again(), x.sin() + 1)
    assert not torch.equal(again(), answer)
