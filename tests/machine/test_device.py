import json

import pytest
import torch

from oneblock.config.errors import OneblockError
from oneblock.machine import device
from oneblock.machine.device import DeviceError, describe, pick_device


def pretend(monkeypatch: pytest.MonkeyPatch, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "best"), [(0, False, "cpu"), (0, True, "mps"), (3, False, "cuda"), (1, True, "cuda")]
)
def test_auto_takes_the_best_there_is(monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, best: str) -> None:
    pretend(monkeypatch, cuda, mps)
    assert pick_device() == torch.device(best)
    assert pick_device("cpu") == torch.device("cpu")


def test_one_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(DeviceError, match=r"device=cuda: this torch \(.*\) is built without CUDA; here there is cpu"):
        pick_device("cuda")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(DeviceError, match=r"device=cuda:1: no GPU is found; here there is cpu"):
        pick_device("cuda:1")
    with pytest.raises(DeviceError, match=r"device=mps: no Apple GPU is found; here there is cpu"):
        pick_device("mps")
    assert issubclass(DeviceError, OneblockError)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:", "cuda:x", "cuda:-1", "tpu:0", "CPU"])
def test_a_name_that_is_unknown(name: str) -> None:
    if name == "cuda:":
        name = "cuda:first"
    with pytest.raises(DeviceError, match=rf"device={name} is not known; try auto, .*cpu"):
        pick_device(name)


def test_numbered_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, cuda=3)
    assert pick_device("cuda:2") == torch.device("cuda", 2)
    with pytest.raises(DeviceError, match=r"device=cuda:3 is not here; there is cuda:0 to cuda:2"):
        pick_device("cuda:3")
    pretend(monkeypatch, cuda=1)
    with pytest.raises(DeviceError, match=r"there is cuda:0$"):
        pick_device("cuda:1")


def test_describe(monkeypatch: pytest.MonkeyPatch) -> None:
    found = describe()
    assert set(found) == {"processor", "cores", "threads", "memory", "torch", "accelerator"}
    assert json.loads(json.dumps(found)) == found
    assert found["threads"] == torch.get_num_threads()
    assert found["torch"] == torch.__version__
    pretend(monkeypatch)
    assert describe()["accelerator"] is None
    pretend(monkeypatch, cuda=1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert describe()["accelerator"] == "Some GPU"
    pretend(monkeypatch, mps=True)
    monkeypatch.setattr(device.host, "processor", lambda: "Apple M9")
    assert describe()["accelerator"] == "Apple M9 GPU"
