"""The model before its training, layer by layer: what every step begins from."""

from __future__ import annotations

from oneblock.compare.measures import layers
from oneblock.compare.measures.subject import Found, Subject


def measure(subject: Subject) -> Found:
    """What `layers` finds, of the untrained model, under names of its own."""
    found = layers.measure(subject)
    return Found(
        measures={"start_spread": found.measures["gradient_spread"]},
        curves={
            "stream at the start by layer": found.curves["stream by layer"],
            "gradient at the start by layer": found.curves["gradient by layer"],
        },
    )
