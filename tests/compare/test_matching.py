"""Sizes solved for, checked on the numbers of `inspect.statistics` and on built models."""

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from oneblock.compare.matching import matched, size
from oneblock.config.errors import OneblockError
from oneblock.config.override import override
from oneblock.config.presets import nano
from oneblock.models.build import build

BASE = override(nano(), "context=32", "width=48", "num_layers=3", "block.attention.num_heads=3")
RIVALS = (
    "block.feed_forward=swiglu",
    "block.feed_forward=relu",
    "block.norm=layer",
    "block.attention.num_kv_heads=1",
    "position=learned",
    "tied=false",
)


@given(
    rival=st.sampled_from(RIVALS),
    width=st.integers(4, 30),
    layers=st.integers(1, 6),
    equal=st.sampled_from(("parameters", "flops")),
    solve=st.sampled_from(("hidden", "width")),
)
@settings(max_examples=80, deadline=None)
def test_a_match_is_within_its_tolerance_and_changes_one_size(rival, width, layers, equal, solve):
    base = override(BASE, f"width={6 * width}", f"num_layers={layers}")
    other = override(base, rival)
    target = size(base, equal)
    try:
        found = matched(other, target, equal=equal, solve=solve, tolerance=0.02)
    except OneblockError as error:
        assert "cannot be matched" in str(error)
        # Only widths come in steps too coarse; or the tables alone are larger than the target.
        assume(solve == "width" or size(override(other, "block.feed_forward.hidden=1"), equal) > target)
        return
    assert abs(size(found, equal) - target) <= 0.02 * target
    restored = override(
        found,
        f"width={other.model.width}",
        f"block.feed_forward.hidden={other.model.blocks[0].feed_forward.hidden or 'none'}",
    )
    assert restored == other


def test_no_other_hidden_width_is_nearer():
    other = override(BASE, "block.feed_forward=swiglu", "block.attention.num_kv_heads=1")
    target = size(BASE, "parameters")
    found = matched(other, target, equal="parameters")
    hidden = found.model.blocks[0].feed_forward.hidden
    off = [
        abs(size(override(found, f"block.feed_forward.hidden={h}"), "parameters") - target)
        for h in (hidden - 1, hidden, hidden + 1)
    ]
    assert off[1] == min(off) and off[1] < off[0] and off[1] < off[2]
    assert sum(p.numel() for p in build(found).parameters()) == size(found, "parameters")


def test_what_is_equal_already_stays_as_it_is():
    assert matched(BASE, size(BASE, "parameters"), equal="parameters") is BASE


def test_without_a_feed_forward_there_is_nothing_to_change():
    with pytest.raises(OneblockError, match="no dense or gated feed-forward"):
        matched(override(BASE, "block.steps=attention"), size(BASE, "parameters"), equal="parameters")


def test_a_tolerance_that_no_width_meets_is_an_error_with_the_nearest():
    with pytest.raises(OneblockError, match=r"nearest parameters are .* from the .* tokens equal instead"):
        matched(
            override(BASE, "num_layers=9"), size(BASE, "parameters"), equal="parameters", solve="width", tolerance=1e-5
        )
