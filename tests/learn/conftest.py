"""What is graded in this process is held against it as it is, not as it was before the tests of other folders."""

import pytest

from oneblock.learn.child.watch import the_world


@pytest.fixture(autouse=True)
def the_world_as_it_is():
    """Other tests load packages that put functions of their own in torch's places."""
    the_world.cache_clear()
