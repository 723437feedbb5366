"""Figures of the course: SVG with words, in colours that a page may set. What an author needs:

    lines(title, {"with": [1.0, 1.3], "without": [1.0, 0.2]}, x="layer", y="norm", log=True)
        Numbers over 0, 1, 2, … (start=1 for another beginning), or over xs=[…]. marks=False: no points.
        rule=(3.0, "chance"): a dashed level. y_range=(0, 1) where the axis should not follow the numbers.
    bars(title, {"LayerNorm": 248, "RMSNorm": 231}, y="seconds", digits=0)
        One bar each, its number above it. {"a": (1, 2), "b": (2, 3)} with series=("before", "after"): side by side.
    heat(title, rows, digits=2, sides=["The", "sky"], heads=["The", "sky"], x="key", y="query")
        A matrix by shade and by number. None or −inf: a closed cell. Rows may hold words in place of numbers.
        mark=[(0, 1)]: cells with a frame. show=False: no numbers. most=1.0: the number of the darkest shade.
    flow(title, [Box(id="x", text="x", at=(0, 0), kind="end"), …], [Arrow(start="x", to="norm"), …])
        Boxes at (column, row), row 0 on top; `text` may have lines (\\n). kind: end norm attention feed_forward add
        plain bad. Arrow(start=…, to=…, words="q", bend=-1, dashed=True): bend leads it around in the column to the left
        (-1) or right (1), as a bypass does.
    belt(title, stations=["attention", "feed-forward"], parcel="x", inspected=True, slips=True, before=3)
        The picture of the course: the belt, the parcel on it, a station with an inspector and a bench for each word,
        and the slip that is added. before=N: parcels that came before, which the first bench may read.
    number_line(title, {"start": 4.0, "after": 7.2}, steps=True)
        Points on a line; steps=True draws an arrow from each to the next.
    columns(title, {"[2, 4, 6]": [2, 4, 6], "normed": [−1.2, 0, 1.2]}, digits=1)
        Vectors as small bars up and down from zero, side by side on one scale.

All take `title` (words, a few) and `told=` (what the figure shows, in a sentence or two, for who cannot see it; made
from the numbers where it is left out), give one `<svg>` as a string, and hold no scripts.
"""

from oneblock.learn.course.figures.belt import belt
from oneblock.learn.course.figures.boxes import Arrow, Box, flow
from oneblock.learn.course.figures.charts import bars, lines
from oneblock.learn.course.figures.grids import columns, heat
from oneblock.learn.course.figures.number_line import number_line

__all__ = ["Arrow", "Box", "bars", "belt", "columns", "flow", "heat", "lines", "number_line"]
