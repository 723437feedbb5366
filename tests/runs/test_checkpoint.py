import os
import shutil
from pathlib import Path

import pytest
import torch

from oneblock.runs.checkpoint import fault, load_checkpoint, prune, save_checkpoint, sweep
from oneblock.runs.errors import RunError

FILES = ("tensors.safetensors", "state.json", "manifest.json")


def content(step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {"weight": torch.randn(3, 5, generator=generator), "step": torch.tensor(step)}


def save(folder: Path, step: int, take: int = 0) -> Path:
    return save_checkpoint(folder, step, content(step + 1000 * take), {"take": take})


def is_saved(folder: Path, step: int, take: int = 0) -> bool:
    found = load_checkpoint(folder, step)
    expected = content(step + 1000 * take)
    return found.state == {"take": take} and all(
        torch.equal(found.tensors[name], tensor) for name, tensor in expected.items()
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_round_trip(tmp_path: Path) -> None:
    state = {"best": float("inf"), "none": None, "rate": 0.1 + 0.2, "nested": {"of": [1, -0.0, "NaN"]}}
    path = save_checkpoint(tmp_path, 1234, content(5), state)
    assert path == tmp_path / "checkpoints" / "step-00001234"
    assert sorted(file.name for file in path.iterdir()) == sorted(FILES)
    found = load_checkpoint(tmp_path)
    assert (found.step, found.path, found.skipped) == (1234, path, ())
    assert repr(found.state) == repr(state)
    assert torch.equal(found.tensors["weight"], content(5)["weight"])


def test_the_newest_or_the_one_asked_for(tmp_path: Path) -> None:
    # Step 100000007 has nine digits: as text it would sort before 20000003.
    for step in (11, 20000003, 100000007, 3):
        save(tmp_path, step)
    assert load_checkpoint(tmp_path).step == 100000007
    assert load_checkpoint(tmp_path, 11).step == 11
    with pytest.raises(RunError, match=r"no checkpoint of step 12 .* there are steps 3, 11, 20000003, 100000007"):
        load_checkpoint(tmp_path, 12)
    with pytest.raises(RunError, match=r"no checkpoint in .*/empty"):
        load_checkpoint(tmp_path / "empty")


def test_the_same_step_is_replaced(tmp_path: Path) -> None:
    save(tmp_path, 7)
    save(tmp_path, 7, take=1)
    assert is_saved(tmp_path, 7, take=1)
    assert names(tmp_path) == ["step-00000007"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def empty(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [flip, truncate, empty, Path.unlink])
def test_damage_is_noticed_and_the_one_before_is_taken(tmp_path: Path, name: str, damage) -> None:
    save(tmp_path, 3)
    newest = save(tmp_path, 5)
    damage(newest / name)
    found = load_checkpoint(tmp_path)
    assert found.step == 3
    [(path, reason)] = found.skipped
    assert path == newest
    # A flipped byte in the manifest may look like one in the file whose checksum it spoils.
    named = name if (name, damage) != ("manifest.json", flip) else reason.split()[0]
    assert reason.startswith(named)
    with pytest.raises(RunError, match=rf"no whole checkpoint of step 5 .*{named}"):
        load_checkpoint(tmp_path, 5)


def test_an_emptied_or_renamed_folder_is_noticed(tmp_path: Path) -> None:
    for step in (2, 3, 5):
        save(tmp_path, step)
    home = tmp_path / "checkpoints"
    shutil.rmtree(home / "step-00000005")
    (home / "step-00000005").mkdir()
    (home / "step-00000003").rename(home / "step-00000009")
    found = load_checkpoint(tmp_path)
    assert found.step == 2
    assert [path.name for path, _ in found.skipped] == ["step-00000009", "step-00000005"]
    assert "the checkpoint of step 3" in found.skipped[0][1]


def test_none_whole(tmp_path: Path) -> None:
    empty(save(tmp_path, 3) / "state.json")
    (save(tmp_path, 5) / "manifest.json").write_text('{"version": 2, "files": {}}')
    with pytest.raises(RunError, match=r"00005: manifest.json has version 2.*00003: state.json has 0 bytes"):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_every_single_byte_counts(tmp_path: Path, name: str) -> None:
    path = save(tmp_path, 7) / name
    good = path.read_bytes()
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        # A blank between two words of the manifest may become another one: then all is still there.
        assert fault(path.parent) or (name == "manifest.json" and is_saved(tmp_path, 7))
    path.write_bytes(good)
    assert fault(path.parent) is None


@pytest.mark.parametrize("same_step", [False, True])
def test_cut_off_at_every_operation(tmp_path: Path, cut_off, same_step: bool) -> None:
    """Whatever the operation at which the process ends, the old one loads or the new; then life goes on."""
    step = 7 if same_step else 9
    for last in range(200):
        folder = tmp_path / str(last)
        save(folder, 5)
        save(folder, 7)
        with cut_off(last) as operations:
            save(folder, step, take=1)
        found = load_checkpoint(folder)
        assert found.skipped == ()
        assert (found.step, found.state["take"]) in {(7, 0), (step, 1)}
        assert is_saved(folder, found.step, found.state["take"])
        assert is_saved(folder, 5)
        sweep(folder)
        assert load_checkpoint(folder).state == found.state
        assert not [name for name in names(folder) if not name[-1].isdigit()]
        save(folder, step, take=2)
        assert is_saved(folder, step, take=2)
        if "cut" not in operations:
            assert found.state["take"] == 1
            assert last > 15
            return
    pytest.fail("never came to an end")


def test_pruning_cut_off_at_every_operation(tmp_path: Path, cut_off) -> None:
    for last in range(100):
        folder = tmp_path / str(last)
        for step in (2, 3, 5, 7):
            save(folder, step)
        with cut_off(last) as operations:
            prune(folder, keep=2)
        found = load_checkpoint(folder)
        assert (found.step, found.skipped) == (7, ())
        for name in names(folder):
            assert name.endswith(".tmp") or fault(folder / "checkpoints" / name) is None
        if "cut" not in operations:
            return
    pytest.fail("never came to an end")


def test_everything_is_flushed_before_it_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut may drop what was written and not flushed, and a rename whose folder was not flushed."""
    save(tmp_path, 3)
    home, paths, dirty, log = tmp_path / "checkpoints", {}, set(), []
    real = {name: getattr(os, name) for name in ("open", "write", "fsync", "rename")}

    def open_(path, *args, **kwargs):
        descriptor = real["open"](path, *args, **kwargs)
        paths[descriptor] = Path(path)
        return descriptor

    def write(descriptor, data):
        dirty.update({paths[descriptor], paths[descriptor].parent})
        return real["write"](descriptor, data)

    def fsync(descriptor):
        real["fsync"](descriptor)
        dirty.discard(paths[descriptor])

    def rename(source, target):
        log.append((Path(target).name, dirty - {home}))
        real["rename"](source, target)
        dirty.add(home)

    for name, function in (("open", open_), ("write", write), ("fsync", fsync), ("rename", rename)):
        monkeypatch.setattr(os, name, function)
    save(tmp_path, 3, take=1)
    assert log == [("step-00000003.old", set()), ("step-00000003", set())]
    assert dirty == set()


def test_prune_keeps_the_newest_and_the_newest_whole(tmp_path: Path) -> None:
    for step in (2, 3, 5, 7, 11):
        save(tmp_path, step)
    for step in (5, 7, 11):
        truncate(tmp_path / "checkpoints" / f"step-{step:08d}" / "tensors.safetensors")
    removed = prune(tmp_path, keep=2)
    assert [path.name for path in removed] == ["step-00000005", "step-00000002"]
    assert names(tmp_path) == ["step-00000003", "step-00000007", "step-00000011"]
    assert load_checkpoint(tmp_path).step == 3
    save(tmp_path, 13)
    prune(tmp_path, keep=1)
    assert names(tmp_path) == ["step-00000013"]
    assert prune(tmp_path / "nothing") == []
    with pytest.raises(ValueError, match=r"keep=0"):
        prune(tmp_path, keep=0)


def test_sweep_takes_away_what_a_crash_left_and_nothing_else(tmp_path: Path) -> None:
    home = tmp_path / "checkpoints"
    for step in (3, 5):
        save(tmp_path, step)
    shutil.copytree(home / "step-00000005", home / "step-00000007.tmp")
    shutil.copytree(home / "step-00000003", home / "step-00000003.old")
    (home / "step-00000005").rename(home / "step-00000005.old")
    assert load_checkpoint(tmp_path).step == 5
    sweep(tmp_path)
    assert names(tmp_path) == ["step-00000003", "step-00000005"]
    assert is_saved(tmp_path, 5)
    sweep(tmp_path / "nothing")


def test_a_torn_one_does_not_cost_the_one_it_replaced(tmp_path: Path) -> None:
    home = tmp_path / "checkpoints"
    save(tmp_path, 3)
    shutil.copytree(home / "step-00000003", home / "step-00000003.old")
    flip(home / "step-00000003" / "tensors.safetensors")
    sweep(tmp_path)
    assert load_checkpoint(tmp_path).path.name == "step-00000003.old"


def test_one_that_is_removed_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A training goes on and prunes while another process loads: the newer one is taken, no error."""
    save(tmp_path, 3)
    from oneblock.runs import checkpoint

    real, calls = checkpoint.fault, []

    def fault_and_race(path: Path) -> str | None:
        if not calls:
            save(tmp_path, 5)
            shutil.rmtree(path)
        calls.append(path.name)
        return real(path)

    monkeypatch.setattr(checkpoint, "fault", fault_and_race)
    assert load_checkpoint(tmp_path).step == 5
    assert calls == ["step-00000003", "step-00000005"]


def test_what_json_would_change_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for bad in ({"by_layer": {0: 1.0}}, {"x": torch.ones(2)}, {"x": {1, 2}}):
        with pytest.raises(TypeError):
            save_checkpoint(tmp_path, 3, content(3), bad)
    assert not (tmp_path / "checkpoints").exists()
