import os
from pathlib import Path

import pytest
from hypothesis import settings

from oneblock.data.files import cache_folder
from oneblock.data.package import Packaged, sha256_of

# A slow machine is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def cache(tmp_path_factory, monkeypatch) -> Path:
    """An empty user cache of this test's own."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home / "oneblock"


@pytest.fixture
def real():
    """Gives a packaged file's path where $ONEBLOCK_DATA or the user cache holds the real one, else skips the test."""

    def find(wanted: Packaged) -> Path:
        for folder in (os.environ.get("ONEBLOCK_DATA", ""), cache_folder()):
            path = Path(folder, wanted.file_name)
            if folder and path.is_file() and sha256_of(path.read_bytes()) == wanted.sha256:
                return path
        pytest.skip(f"{wanted.file_name} of {wanted.package} is neither in $ONEBLOCK_DATA nor in the user cache")

    return find
