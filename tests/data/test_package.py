import io
import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from oneblock.data import package
from oneblock.data.errors import DataError
from oneblock.data.package import Packaged, locate_packaged, sha256_of

EXACT = b"a file of this test\n"


def wheel(raw: bytes = EXACT) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("thing/__init__.py"), b"raise SystemExit")
        archive.writestr(zipfile.ZipInfo("thing/data/words.dict"), raw)
    return file.getvalue()


WANTED = Packaged(
    package="thing==1.2.3",
    wheel_sha256=sha256_of(wheel()),
    member="thing/data/words.dict",
    sha256=sha256_of(EXACT),
)


@pytest.fixture
def world(cache, monkeypatch):
    """A world without network, in which the package can be given bytes; `asked` counts."""
    state = SimpleNamespace(package=None, asked=0, cache=cache)

    def run(command, **keywords):
        state.asked += 1
        assert keywords["timeout"] and command[1:4] == ["-m", "pip", "download"]
        assert command[-1] == "thing==1.2.3" and {"--no-deps", "--only-binary"} <= set(command)
        if state.package is None:
            return SimpleNamespace(returncode=1, stderr="WARNING: x\nERROR: No matching distribution\n")
        Path(command[command.index("-d") + 1], "thing-1.2.3-py3-none-any.whl").write_bytes(state.package)
        return SimpleNamespace(returncode=0, stderr="")

    monkeypatch.setattr("subprocess.run", run)
    monkeypatch.delenv("ONEBLOCK_DATA", raising=False)
    return state


def test_the_setting_comes_first_and_says_whose_file_it_is(world, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEBLOCK_DATA", str(tmp_path))
    (tmp_path / "words.dict").write_bytes(EXACT)
    found = locate_packaged("words", WANTED)
    assert found.name == "words" and found.read().text == EXACT.decode()
    assert found.origin == f"words.dict of thing==1.2.3: {tmp_path / 'words.dict'} ($ONEBLOCK_DATA)"
    (tmp_path / "words.dict").write_bytes(b"other")
    assert locate_packaged("words", WANTED).origin.startswith("a words.dict of your own, not thing==1.2.3's")
    assert not world.asked


def test_then_the_package_which_fills_the_cache(world):
    world.package = wheel()
    first, again = locate_packaged("words", WANTED), locate_packaged("words", WANTED)
    assert first.read().text == again.read().text == EXACT.decode() and world.asked == 1
    assert first.origin == "words.dict of the package thing==1.2.3" and "(the user cache)" in again.origin
    assert [path.name for path in world.cache.iterdir()] == ["words.dict"]


def test_a_damaged_cache_is_fetched_anew(world):
    world.package = wheel()
    world.cache.mkdir(parents=True)
    (world.cache / "words.dict").write_bytes(EXACT[:-1])
    assert locate_packaged("words", WANTED).read().text == EXACT.decode()
    assert (world.cache / "words.dict").read_bytes() == EXACT


def test_another_wheel_and_another_member_are_refused(world):
    world.package = wheel() + b"\0"
    with pytest.raises(DataError, match=r"thing-1\.2\.3-py3-none-any\.whl is refused: its SHA-256 is"):
        locate_packaged("words", WANTED)
    world.package = wheel(b"changed")
    changed = Packaged(
        package="thing==1.2.3",
        wheel_sha256=sha256_of(world.package),
        member=WANTED.member,
        sha256=WANTED.sha256,
    )
    with pytest.raises(DataError, match=r"thing/data/words\.dict is refused: its SHA-256 is"):
        locate_packaged("words", changed)
    assert not world.cache.exists()


def test_nothing_found_names_each_place_and_what_to_do(world, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEBLOCK_DATA", str(tmp_path / "gone"))
    with pytest.raises(DataError) as caught:
        locate_packaged("words", WANTED)
    message = str(caught.value)
    wanted = [
        "the data set 'words' was not found",
        f"1. $ONEBLOCK_DATA: {tmp_path / 'gone'} does not exist",
        f"2. the user cache: no {world.cache / 'words.dict'}",
        "3. the package thing==1.2.3: pip download failed: ERROR: No matching distribution",
        "Set ONEBLOCK_DATA to a folder that holds words.dict",
    ]
    places = [message.index(part) for part in wanted]
    assert places == sorted(places)


def test_a_setting_that_is_a_file_or_lacks_the_file_says_so(world, tmp_path, monkeypatch):
    monkeypatch.setenv("ONEBLOCK_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"does not hold words\.dict"):
        locate_packaged("words", WANTED)
    (tmp_path / "text.txt").write_text("x")
    monkeypatch.setenv("ONEBLOCK_DATA", str(tmp_path / "text.txt"))
    with pytest.raises(DataError, match=r"text\.txt is no folder"):
        locate_packaged("words", WANTED)


def test_a_slow_pip_ends(world, monkeypatch):
    def hang(command, timeout, **keywords):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr("subprocess.run", hang)
    with pytest.raises(DataError, match="timed out after 120"):
        locate_packaged("words", WANTED)


def test_a_cache_that_cannot_be_written_costs_only_the_cache(world, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(package, "write_atomically", full)
    world.package = wheel()
    assert locate_packaged("words", WANTED).read().text == EXACT.decode()
