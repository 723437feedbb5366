import pytest
import torch

from oneblock.machine import precision
from oneblock.machine.device import DeviceError
from oneblock.machine.peak import matrix_peak
from oneblock.machine.precision import has_fast_bfloat16, pick_precision

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda", 0), torch.device("mps")


def reports(monkeypatch: pytest.MonkeyPatch, *true: str) -> None:
    monkeypatch.setattr(precision, "_reports", lambda owner, name: name in true)


@pytest.mark.parametrize("device", [CPU, CUDA, MPS])
def test_a_choice_is_kept(monkeypatch: pytest.MonkeyPatch, device: torch.device) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: True)
    assert pick_precision("float32", device) == torch.float32
    assert pick_precision("bfloat16", device) == torch.bfloat16


def test_bfloat16_without_hardware(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_fast_bfloat16", lambda device: False)
    assert pick_precision("bfloat16", CPU) == torch.bfloat16
    assert pick_precision("auto", CPU) == pick_precision("auto", CUDA) == torch.float32
    with pytest.raises(DeviceError, match="precision=bfloat16 needs macOS 14"):
        pick_precision("bfloat16", MPS)


@pytest.mark.parametrize("name", ["float16", "bf16", ""])
def test_an_unknown_name(name: str) -> None:
    with pytest.raises(DeviceError, match=f"precision={name} is not known; try auto, float32, bfloat16"):
        pick_precision(name, CPU)


@pytest.mark.parametrize(
    ("true", "expected"),
    [
        (["_is_amx_tile_supported", "_is_avx512_supported", "_is_avx2_supported"], True),
        (["_is_avx512_bf16_supported", "_is_avx512_supported", "_is_avx2_supported"], True),
        # oneDNN says yes on a processor that has AVX-512 and no bfloat16 in it.
        (["_is_avx512_supported", "_is_avx2_supported", "is_available", "_is_mkldnn_bf16_supported"], False),
        (["_is_avx2_supported"], False),
        (["is_available", "_is_mkldnn_bf16_supported"], True),
        (["_is_mkldnn_bf16_supported"], False),
        ([], False),
    ],
)
def test_what_a_processor_reports(monkeypatch: pytest.MonkeyPatch, true: list[str], expected: bool) -> None:
    reports(monkeypatch, *true)
    assert has_fast_bfloat16(CPU) is expected
    assert pick_precision("auto", CPU) == (torch.bfloat16 if expected else torch.float32)


def test_what_a_gpu_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (True, False):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, answer=answer: answer)
        monkeypatch.setattr(torch.backends.mps, "is_macos_or_newer", lambda major, minor, answer=answer: answer)
        assert has_fast_bfloat16(CUDA) is has_fast_bfloat16(MPS) is answer
    assert has_fast_bfloat16(torch.device("meta")) is False


def test_a_question_that_this_torch_does_not_know_is_a_no() -> None:
    assert precision._reports(torch.cpu, "_is_a_thing_of_the_future_supported") is False
    assert precision._reports(torch.ops.mkldnn, "_is_a_thing_of_the_future_supported") is False


@pytest.mark.slow
def test_auto_is_the_faster_one_on_this_machine() -> None:
    speeds = {dtype: matrix_peak(dtype, CPU, 1.0) for dtype in (torch.float32, torch.bfloat16)}
    assert pick_precision("auto", CPU) == max(speeds, key=lambda dtype: speeds[dtype])
