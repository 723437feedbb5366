import os

import pytest

from oneblock.machine import host


def files(monkeypatch: pytest.MonkeyPatch, **texts: str) -> None:
    by_name = {name.replace("__", "."): text for name, text in texts.items()}
    monkeypatch.setattr(host, "_text", lambda path: by_name.get(path.rpartition("/")[2], ""))


def test_processor_has_a_name() -> None:
    assert host.processor().strip()
    assert "\n" not in host.processor()


def test_processor_without_a_model_name_is_its_architecture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host.platform, "system", lambda: "Linux")
    monkeypatch.setattr(host.platform, "machine", lambda: "aarch64")
    files(monkeypatch, cpuinfo="processor\t: 0\nCPU part\t: 0xd40\n")
    assert host.processor() == "aarch64"
    files(monkeypatch, cpuinfo="processor\t: 0\nmodel name\t: Some CPU: 7 @ 2 GHz\nmodel name\t: other\n")
    assert host.processor() == "Some CPU: 7 @ 2 GHz"


@pytest.mark.parametrize(
    ("quota", "cores"),
    [("max 100000", 11), ("300000 100000", 3), ("50000 100000", 1), ("9900000 100000", 11), ("", 11)],
)
def test_cores_are_those_of_the_container(monkeypatch: pytest.MonkeyPatch, quota: str, cores: int) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(11)), raising=False)
    files(monkeypatch, cpu__max=quota + "\n")
    assert host.usable_cores() == cores


def test_cores_of_this_machine() -> None:
    assert 1 <= host.usable_cores() <= (os.cpu_count() or 1)


def test_memory_of_this_machine() -> None:
    whole, free = host.memory(), host.free_memory()
    if whole is None or free is None:
        pytest.skip("this system does not tell")
    # Bytes, not kilobytes or pages: torch alone needs more than 100 MB.
    assert 1 << 28 < whole < 1 << 46
    assert 1 << 20 < free <= whole


def test_memory_within_a_container(monkeypatch: pytest.MonkeyPatch) -> None:
    files(monkeypatch, memory__max="1000000\n", memory__current="300000\n", meminfo="MemAvailable:    2000 kB\n")
    assert host.memory() == 1_000_000
    assert host.free_memory() == 700_000
    files(monkeypatch, memory__max="max\n", memory__current="300000\n", meminfo="MemAvailable:    2000 kB\n")
    assert host.free_memory() == 2_048_000
    files(monkeypatch)
    assert host.free_memory() is None
