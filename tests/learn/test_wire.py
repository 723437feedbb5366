"""The wire: every value comes back as it was, and bytes that are no message are refused."""

import json
import math
import os
import struct
import threading

import pytest
import torch

from oneblock.learn.child import wire
from oneblock.learn.child.wire import Handle, Seeded, WireError, pack, plain, unpack, write_all


def back(value):
    data = pack(value)
    (length,) = struct.unpack("<Q", data[:8])
    assert length == len(data) - 8
    return unpack(data[8:])


def test_values_come_back():
    value = {"a": [1, -2.5, None, True, "ü\n"], "b": (Handle(3, "dict"), Seeded(7)), 5: {"deep": [[]]}}
    assert back(value) == value
    assert math.isnan(back(math.nan)) and back(-math.inf) == -math.inf


@pytest.mark.parametrize("dtype", wire.DTYPES.values(), ids=str)
def test_tensors_come_back_bit_by_bit(dtype):
    numbers = torch.tensor([[1.5, -0.0, 3.0], [0.0, 250.0, 7.0]]).to(dtype)
    for tensor in (numbers, numbers.T, numbers[:, ::2], numbers[0, 0], numbers[:0]):
        found = back([tensor])[0]
        assert found.dtype == dtype and found.shape == tensor.shape and torch.equal(found, tensor)


def test_nan_and_views_and_gradients():
    leaf = torch.tensor([math.nan, math.inf], requires_grad=True)
    found = back(leaf)
    assert not found.requires_grad and torch.equal(found.isnan(), torch.tensor([True, False]))
    assert torch.equal(back(torch.ones(2, dtype=torch.complex64).mul(1j).conj()), torch.tensor([-1j, -1j]))


@pytest.mark.parametrize(
    "tree",
    [
        {"tensor": ["torch.float32", [2], 0, 8]},
        {"tensor": ["torch.float32", [1], -4, 4]},
        {"tensor": ["torch.float32", [-1], 0, -4]},
        {"tensor": ["os.system", [1], 0, 4]},
        {"pickle": "x"},
        {"list": 3},
        {"list": [], "tuple": []},
    ],
)
def test_a_tree_that_lies_is_refused(tree):
    text = json.dumps(tree).encode()
    with pytest.raises(WireError):
        unpack(struct.pack("<I", len(text)) + text + b"1234")


@pytest.mark.parametrize("body", [b"", b"\1", struct.pack("<I", 9) + b"{}", struct.pack("<I", 2) + b"\xff\xfe"])
def test_bytes_that_are_no_message_are_refused(body):
    with pytest.raises(WireError):
        unpack(body)


def test_what_is_too_large_or_has_no_form_is_refused():
    with pytest.raises(WireError, match="64 MB are allowed"):
        pack(torch.zeros(1).expand(10**9))
    with pytest.raises(WireError, match="a set cannot be sent"):
        pack([{1}])


def test_what_travels_as_it_is():
    assert plain([1, (torch.ones(1), {"a": Handle(0)})])
    assert not plain(torch.eye(2).to_sparse()) and not plain({1.5: 2}) and not plain([object()])


def test_a_full_pipe_is_written_to_the_end():
    there, here = os.pipe()
    data, found = os.urandom(300_000), bytearray()

    def read():
        while part := os.read(there, 1000):
            found.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    write_all(here, data)
    os.close(here)
    reader.join()
    os.close(there)
    assert found == data
