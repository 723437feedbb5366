"""All drawings by name, in the order in which the lessons ask for them."""

from __future__ import annotations

from oneblock.learn.course.drawings.dataflow import DATAFLOW
from oneblock.learn.course.drawings.drawing import Drawing
from oneblock.learn.course.drawings.masks import CAUSAL_MASK
from oneblock.learn.course.drawings.stacks import RESIDUAL_WIRES, UNSTABLE_STACK
from oneblock.learn.course.drawings.sublayers import BLOCK, NORM_PLACES

DRAWINGS: dict[str, Drawing] = {
    drawing.name: drawing for drawing in (UNSTABLE_STACK, RESIDUAL_WIRES, NORM_PLACES, BLOCK, CAUSAL_MASK, DATAFLOW)
}
