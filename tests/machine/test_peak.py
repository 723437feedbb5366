import pytest
import torch

from oneblock.machine import host, peak
from oneblock.machine.peak import matrix_peak, memory_bandwidth

CPU = torch.device("cpu")


class Clock:
    """Stands still, except where the work moves it."""

    def __init__(self) -> None:
        self.now, self.calls = 100.0, 0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float):
        def work() -> None:
            self.now += seconds
            self.calls += 1

        return work


def test_a_product_counts_two_for_each_multiply_and_add(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, shapes = Clock(), []

    def mm(a_mk: torch.Tensor, b_kn: torch.Tensor, out: torch.Tensor) -> None:
        shapes.append((*a_mk.shape, *b_kn.shape, *out.shape, a_mk.dtype))
        clock.now += 0.01

    monkeypatch.setattr(torch, "mm", mm)
    found = matrix_peak(torch.bfloat16, CPU, 0.5, shapes=[(3, 5, 7), (2, 3, 5)], clock=clock)
    # 2 · 3·5·7 = 210 FLOPs in 10 ms; the smaller shape must not win.
    assert found == pytest.approx(21_000)
    assert set(shapes) == {(3, 5, 5, 7, 3, 7, torch.bfloat16), (2, 3, 3, 5, 2, 5, torch.bfloat16)}
    assert clock.now - 100 == pytest.approx(0.5, abs=0.15)


def test_reading_counts_each_byte_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, sizes = Clock(), []

    def mv(matrix: torch.Tensor, vector: torch.Tensor) -> None:
        sizes.append(matrix.numel() * matrix.element_size())
        clock.now += 0.004

    def sum_(tensor: torch.Tensor, *dims: int) -> None:
        sizes.append(tensor.numel() * tensor.element_size())
        clock.now += 0.002

    monkeypatch.setattr(torch, "mv", mv)
    monkeypatch.setattr(torch.Tensor, "sum", sum_)
    assert memory_bandwidth(CPU, 0.5, size=1 << 20, clock=clock) == pytest.approx((1 << 20) / 0.002)
    assert set(sizes) == {1 << 20}


def test_the_best_window_counts_not_the_mean() -> None:
    clock = Clock()
    times = iter([0.05] * 3 + [0.2, 0.05, 0.025, 0.4] + [0.1] * 50)

    def work() -> None:
        clock.now += next(times)

    assert peak._best([(work, 3.0)], 1.0, CPU, clock) == pytest.approx(3.0 / 0.025)


def test_the_slowest_forms_are_tried_and_left() -> None:
    clocks = Clock()
    counts = {}

    def form(name: str, seconds: float):
        counts[name] = 0

        def work() -> None:
            counts[name] += 1
            clocks.now += seconds

        return work, 1.0

    forms = [form("slow", 0.02), form("fast", 0.005), form("middle", 0.01)]
    assert peak._best(forms, 1.0, CPU, clocks) == pytest.approx(200)
    assert counts["slow"] == 2
    assert counts["fast"] > counts["middle"] > 20


def test_a_machine_too_slow_for_the_time_still_gives_a_figure() -> None:
    clock = Clock()
    assert peak._best([(clock.work(30.0), 7.0)], 0.5, CPU, clock) == pytest.approx(7 / 30)
    assert clock.calls == 3


def test_a_gpu_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: log.append("wait"))
    clock = Clock()

    def timed() -> float:
        log.append("clock")
        return clock()

    def work() -> None:
        log.append("work")
        clock.now += 0.03

    peak._rate(work, 1.0, 2, torch.device("cuda", 0), timed)
    assert log == ["wait", "clock", "work", "work", "wait", "clock"]


def test_little_memory_means_a_smaller_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    real = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *size, **rest: sizes.append(size) or real(*size, **rest))
    monkeypatch.setattr(host, "free_memory", lambda: 1 << 22)
    memory_bandwidth(CPU, 0.01)
    assert sizes[0][0] * sizes[0][1] * 4 == 1 << 20
    monkeypatch.setattr(host, "free_memory", lambda: None)
    memory_bandwidth(CPU, 0.01, size=1 << 21)
    assert sizes[2][0] * sizes[2][1] * 4 == 1 << 21


def test_measuring_leaves_no_trace() -> None:
    threads = torch.get_num_threads()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    matrix_peak(torch.float32, CPU, 0.01, shapes=[(17, 19, 23)])
    memory_bandwidth(CPU, 0.01, size=1 << 16)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()


def test_all_cores_are_used_and_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    used, threads = [], torch.get_num_threads()
    monkeypatch.setattr(host, "usable_cores", lambda: 3)

    def mm(*_, out: torch.Tensor) -> None:
        used.append(torch.get_num_threads())
        raise RuntimeError("out of memory")

    monkeypatch.setattr(torch, "mm", mm)
    with pytest.raises(RuntimeError):
        matrix_peak(torch.float32, CPU, 0.01, shapes=[(3, 5, 7)])
    assert used == [3]
    assert torch.get_num_threads() == threads


def test_plausible_on_this_machine() -> None:
    # A slow phone core does 1 GFLOP/s, a large GPU a few PFLOP/s; memory reads between 0.5 GB/s and 20 TB/s.
    assert 1e9 < matrix_peak(torch.float32, CPU, 0.1, shapes=[(512, 512, 512)]) < 1e16
    assert 5e8 < memory_bandwidth(CPU, 0.1, size=1 << 27) < 2e13
