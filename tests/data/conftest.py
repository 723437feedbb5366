from pathlib import Path

import pytest
from hypothesis import settings

# A slow machine is no failure.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture
def cache(tmp_path_factory, monkeypatch) -> Path:
    """An empty user cache of this test's own."""
    home = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(home))
    return home / "oneblock"
