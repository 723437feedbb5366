"""Where things stand: nothing overlaps, and the lines lead from part to part as the flow does."""

from dataclasses import replace
from itertools import combinations, pairwise

import pytest

from oneblock import override
from oneblock.config import PRESETS, preset
from oneblock.inspect.dataflow import dataflow
from oneblock.inspect.draw import CELLS
from oneblock.inspect.joined import lay_out_all
from oneblock.inspect.layout import lay_out
from oneblock.inspect.svg import PIXELS, RADIUS

UNITS = {"cells": CELLS, "pixels": PIXELS}


@pytest.fixture(params=list(UNITS))
def metrics(request):
    return UNITS[request.param]


@pytest.fixture(scope="module")
def every(models, plain):
    many_layers = override(
        plain,
        "num_layers=26", "blocks=6", "block.attention.window=64", "blocks.5.attention.window=none",
    ).model  # fmt: skip
    return [*(preset(name).model for name in PRESETS), many_layers, *models]


def test_boxes_are_apart(every, metrics):
    for config in every:
        picture = lay_out_all(dataflow(config), metrics)
        for a, b in combinations(picture.rects, 2):
            # In cells, neighbours share the border between them.
            apart = (
                a.x + a.w <= b.x or b.x + b.w <= a.x
                or a.y + a.h - metrics.cell <= b.y or b.y + b.h - metrics.cell <= a.y
            )  # fmt: skip
            assert apart, (a, b)
        for rect in picture.rects:
            assert rect.x >= 0 and rect.y >= 0
            assert rect.x + rect.w <= picture.width and rect.y + rect.h <= picture.height
            assert max(map(len, rect.lines)) * metrics.char + 2 * metrics.pad_x <= rect.w + metrics.cell


def columns_of(flow):
    return [flow] if flow.source is None else [flow.source, flow]


def test_boxes_are_wholly_inside_their_block_or_outside(every, metrics):
    for flow in (flow for config in every for flow in columns_of(dataflow(config))):
        picture = lay_out(flow, metrics)
        for frame in picture.frames:
            assert len(frame.title) * metrics.char + metrics.beside < picture.width - picture.main
            for rect in picture.rects:
                inside = frame.y < rect.y and rect.y + rect.h < frame.y + frame.h
                assert inside or rect.y + rect.h <= frame.y or frame.y + frame.h <= rect.y, rect
                if inside:
                    assert frame.x < rect.x and rect.x + rect.w < frame.x + frame.w
        for upper, lower in pairwise(picture.frames):
            assert upper.y + upper.h < lower.y


def test_lines_cross_no_box(every):
    for config in every:
        picture = lay_out_all(dataflow(config), PIXELS)
        for line in picture.lines:
            for (x0, y0), (x1, y1) in pairwise(line.points):
                assert x0 == x1 or y0 == y1
                for rect in picture.rects:
                    apart = (
                        max(x0, x1) <= rect.x or min(x0, x1) >= rect.x + rect.w
                        or max(y0, y1) <= rect.y or min(y0, y1) >= rect.y + rect.h
                    )  # fmt: skip
                    assert apart, (line, rect)


def test_joins_and_labels_touch_no_box(every):
    for config in every:
        picture = lay_out_all(dataflow(config), PIXELS)
        for x, y in picture.joins:
            for rect in picture.rects:
                near_x = min(max(x, rect.x), rect.x + rect.w)
                near_y = min(max(y, rect.y), rect.y + rect.h)
                assert abs(x - near_x) + abs(y - near_y) > RADIUS + 4
        for label in picture.labels:
            width = len(label.text) * 7
            left = label.x - width / 2 if label.across else label.x
            top, bottom = (label.y - 17, label.y - 4) if label.across else (label.y - 7, label.y + 6)
            assert left + width <= picture.width
            for rect in picture.rects:
                apart = left >= rect.x + rect.w or left + width <= rect.x or top >= rect.y + rect.h or bottom <= rect.y
                assert apart, (label, rect)


STARTS = ("tokens", "source tokens", "target tokens", "noisy images", "time", "time and class")
ENDS = ("logits", "memory", "vectors", "answer", "c ", "c:")


def flow_of(picture):
    """The picture read again: how often a line enters and leaves each box and each ⊕."""
    entered, left = {}, {}
    for index, rect in enumerate(picture.rects):
        middle = picture.main if abs(rect.x + rect.w / 2 - picture.main) < 1e-6 else rect.x + rect.w / 2
        for line in picture.lines:
            if line.points[-1] == pytest.approx((middle, rect.y)):
                entered[index] = entered.get(index, 0) + 1
            starts = [(middle, rect.y + rect.h), (rect.x, rect.y + rect.h / 2)]
            if any(line.points[0] == pytest.approx(start) for start in starts):
                left[index] = left.get(index, 0) + 1
    joins = [sum(line.points[-1] == pytest.approx(join) for line in picture.lines) for join in picture.joins]
    return entered, left, joins


def test_every_box_is_entered_and_left(every):
    for config in every:
        picture = lay_out_all(dataflow(config), PIXELS)
        entered, left, joins = flow_of(picture)
        for index, rect in enumerate(picture.rects):
            source = rect.box.name in STARTS or rect.box.kind == "position"
            assert (index in entered) != source, rect.box
            assert (index in left) != rect.box.name.startswith(ENDS), rect.box
        assert all(count == 2 for count in joins)


def test_as_many_joins_as_sums(every):
    for config in every:
        flow = dataflow(config)
        flows = columns_of(flow)
        steps = [step for part in flows for block in part.blocks for step in block.steps]
        picture = lay_out_all(flow, PIXELS)
        assert len(picture.joins) == sum(len(part.added) for part in flows) + sum(
            s.keeps + (len(s.branches) > 1) for s in steps
        )
        assert len(picture.stops) == sum(not step.keeps for step in steps)
        boxes = [box for part in flows for box in replace(part, source=None).boxes()]
        assert sorted(map(id, boxes)) == sorted(id(rect.box) for rect in picture.rects)
        assert sorted(map(id, boxes)) == sorted(map(id, flow.boxes()))


def down(picture, frame):
    """What stands in a frame, from the top down: on the main line with M, on a branch with B."""
    found = [
        (rect.y, rect.box.kind, "M" if rect.x < picture.main < rect.x + rect.w else "B")
        for rect in picture.rects
        if frame.y < rect.y < frame.y + frame.h
    ]
    found += [
        (y, "join", "M" if x == picture.main else "B") for x, y in picture.joins if frame.y < y < frame.y + frame.h
    ]
    return " ".join(f"{kind}:{place}" for _, kind, place in sorted(found))


@pytest.mark.parametrize(
    ("placement", "order"),
    [
        ("pre", "norm:B attention:B join:M norm:B feed_forward:B join:M"),
        ("post", "attention:B join:M norm:M feed_forward:B join:M norm:M"),
        ("peri", "norm:B attention:B norm:B join:M norm:B feed_forward:B norm:B join:M"),
        ("out", "attention:B norm:B join:M feed_forward:B norm:B join:M"),
        ("none", "attention:B join:M feed_forward:B join:M"),
    ],
)
def test_norms_stand_in_their_places(placement, order, metrics, plain):
    picture = lay_out_all(dataflow(override(plain, f"block.placement={placement}")), metrics)
    assert down(picture, picture.frames[0]) == order


def test_parallel_branches_stand_side_by_side(plain):
    config = override(plain, "block.steps=attention+feed_forward", "block.shared_norm=true")
    picture = lay_out_all(dataflow(config), PIXELS)
    boxes = {rect.box.kind: rect for rect in picture.rects[2:]}
    assert boxes["attention"].y == boxes["feed_forward"].y
    assert boxes["attention"].x + boxes["attention"].w < boxes["feed_forward"].x
