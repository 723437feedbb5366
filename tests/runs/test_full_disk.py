"""Checkpoints on a disk that is full: in pretence, by a limit, and on a real one."""

import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from oneblock.runs.checkpoint import load_checkpoint, save_checkpoint
from oneblock.runs.errors import RunError


def content(step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {"weight": torch.randn(3, 5, generator=generator), "step": torch.tensor(step)}


def save(folder: Path, step: int, take: int = 0) -> Path:
    return save_checkpoint(folder, step, content(step + 1000 * take), {"take": take})


def is_saved(folder: Path, step: int, take: int = 0) -> bool:
    found, expected = load_checkpoint(folder, step), content(step + 1000 * take)
    same = all(torch.equal(found.tensors[name], tensor) for name, tensor in expected.items())
    return same and found.state == {"take": take}


def check_refused(folder: Path, message: str) -> None:
    assert "needs" in message and "free there" in message
    assert "untouched, the newest is step-00000003" in message
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["step-00000003"]
    assert is_saved(folder, 3)


@pytest.mark.parametrize("room", [0, 1, 100, 300, 450, 600])
@pytest.mark.parametrize("step", [3, 5])
def test_no_space_left(tmp_path: Path, full_after, room: int, step: int) -> None:
    save(tmp_path, 3)
    with full_after(room), pytest.raises(RunError, match=r"No space left on device") as caught:
        save(tmp_path, step, take=1)
    check_refused(tmp_path, str(caught.value))
    save(tmp_path, step, take=1)
    assert is_saved(tmp_path, step, take=1)


def test_a_file_size_limit(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    save(tmp_path, 3)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    large = {"weight": torch.zeros(131, 1009)}
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, limits[1]))
        with pytest.raises(RunError, match=r"It needs 528.7 kB") as caught:
            save_checkpoint(tmp_path, 5, large, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    check_refused(tmp_path, str(caught.value))


def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        save(tmp_path, 3)
        with pytest.raises(RunError, match=r"No space left on device. It needs 1.3 MB; 1\.0 MB are free") as caught:
            save_checkpoint(tmp_path, 5, {"weight": torch.zeros(331, 1009)}, {})
        check_refused(tmp_path, str(caught.value))
        save(tmp_path, 5)
        assert is_saved(tmp_path, 5)
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)
