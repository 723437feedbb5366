import json
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from oneblock.runs.errors import RunError
from oneblock.runs.weights import load_weights, save_weights


def content(step: int) -> dict[str, torch.Tensor]:
    # Each step has another size, so that a mixture of two cannot pass for one.
    generator = torch.Generator().manual_seed(step)
    return {"weight": torch.randn(step, 5, generator=generator), "half": torch.ones(3).bfloat16() * step}


def save(folder: Path, step: int) -> Path:
    return save_weights(folder, "kept", content(step), {"step": step, "val_loss": 1.5 / step})


def loaded_step(folder: Path) -> int:
    """The step whose weights load, every bit of them and the meta that belongs to them."""
    tensors, meta = load_weights(folder, "kept")
    expected = content(meta["step"])
    assert meta["val_loss"] == 1.5 / meta["step"]
    assert tensors.keys() == expected.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in expected.items())
    return meta["step"]


def test_round_trip_and_replacing(tmp_path: Path) -> None:
    for step in (3, 5):
        path = save(tmp_path, step)
        assert path == tmp_path / "weights" / "kept.safetensors"
        assert loaded_step(tmp_path) == step
        assert sorted(file.name for file in path.parent.iterdir()) == [
            "kept.manifest.json",
            "kept.safetensors",
        ]
    # Any program that knows the format reads the file by its plain name.
    assert torch.equal(load_file(path)["weight"], content(5)["weight"])


def test_two_names_do_not_meet(tmp_path: Path) -> None:
    save(tmp_path, 3)
    save_weights(tmp_path, "last", content(7), {"best": float("inf")})
    assert loaded_step(tmp_path) == 3
    assert load_weights(tmp_path, "last")[1] == {"best": float("inf")}
    with pytest.raises(RunError, match=r"no whole weights 'other' .* missing. Other weights there: kept, last"):
        load_weights(tmp_path, "other")


@pytest.mark.parametrize("name", ["kept.safetensors", "kept.manifest.json"])
def test_every_single_byte_counts(tmp_path: Path, name: str) -> None:
    save(tmp_path, 3)
    path = tmp_path / "weights" / name
    good = path.read_bytes()
    noticed = 0
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        path.write_bytes(bad)
        try:
            assert name == "kept.manifest.json"
            assert loaded_step(tmp_path) == 3
        except (RunError, AssertionError) as error:
            assert isinstance(error, RunError) or name == "kept.safetensors"
            noticed += 1
    assert noticed == len(good) if name == "kept.safetensors" else noticed > len(good) // 2


def test_torn_and_missing_files(tmp_path: Path) -> None:
    path = save(tmp_path, 3)
    os.truncate(path, path.stat().st_size - 1)
    with pytest.raises(RunError, match=r"kept.safetensors has .* bytes, not .* --resume saves them again"):
        load_weights(tmp_path, "kept")
    path.unlink()
    with pytest.raises(RunError, match=r"kept.safetensors is missing"):
        load_weights(tmp_path, "kept")
    path.with_name("kept.manifest.json").write_text("{")
    with pytest.raises(RunError, match=r"kept.manifest.json is damaged"):
        load_weights(tmp_path, "kept")
    # Damage does not stand in the way of the next save.
    save(tmp_path, 5)
    assert loaded_step(tmp_path) == 5


def test_cut_off_at_every_operation(tmp_path: Path, cut_off) -> None:
    steps = set()
    for last in range(100):
        folder = tmp_path / str(last)
        save(folder, 3)
        with cut_off(last) as operations:
            save(folder, 5)
        steps.add(step := loaded_step(folder))
        # Cut off once more at the same place: what loads must not depend on how often that happens.
        with cut_off(last):
            save(folder, 7)
        assert loaded_step(folder) in (step, 7)
        save(folder, 11)
        assert loaded_step(folder) == 11
        assert not list(folder.rglob("*.safetensors.*.tmp"))
        assert len(json.loads((folder / "weights" / "kept.manifest.json").read_text())["one_of"]) == 1
        if "cut" not in operations:
            assert step == 5
            assert steps == {3, 5}
            return
    pytest.fail("never came to an end")


@pytest.mark.parametrize("room", [0, 100, 500, 650, 800])
def test_no_space_left(tmp_path: Path, full_after, room: int) -> None:
    save(tmp_path, 3)
    with full_after(room), pytest.raises(RunError, match=r"No space left on device. It needs .* free there"):
        save(tmp_path, 17)
    # Where the manifest alone no longer fits, the new file is in place already, and it is listed.
    assert loaded_step(tmp_path) in (3, 17)
    assert not list(tmp_path.rglob("*.tmp"))


def test_replaced_while_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 3)
    from oneblock.runs import weights

    real, raced = weights._listed, []

    def list_then_race(manifest: Path):
        seals = real(manifest)
        if not raced:
            raced.append(True)
            save(tmp_path, 5)
        return seals

    monkeypatch.setattr(weights, "_listed", list_then_race)
    assert loaded_step(tmp_path) == 5
