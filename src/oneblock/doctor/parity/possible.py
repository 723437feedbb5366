"""Every single change of a reading that a port may have made: what is tried where the other model cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from oneblock.doctor.parity.change import Change
from oneblock.doctor.parity.core import attention_options
from oneblock.doctor.parity.differences import ATTENTION, NORM, OTHER, placement, scale_named
from oneblock.doctor.parity.twin import ACTIVATIONS, Reading


@dataclass(frozen=True)
class Possible:
    """A change, and what does it."""

    change: Change
    do: Callable[[Reading], None]

    def flipped(self) -> Change:
        """Told from the other side."""
        return replace(self.change, reference=self.change.target, target=self.change.reference)


def possible(known: Reading, length: int) -> list[Possible]:
    """All of them, each in all layers at once."""
    return [*_attention(known, length), *_norms(known), *_others(known), *_tensors(known)]


def _set(places: list[str], name: str, value: Any) -> Callable[[Reading], None]:
    def do(reading: Reading) -> None:
        for place in places:
            reading.choices[place] = reading.choices[place] | {name: value}

    return do


def _places(known: Reading, ending: str) -> list[str]:
    return [f"layers.{i}.{ending}" for i in range(known.num_layers)]


def _attention(known: Reading, length: int) -> Iterator[Possible]:
    places = _places(known, "attention")
    own = known.choices[places[0]]
    weight = known.tensors["embedding.weight"]
    assert weight is not None
    options = attention_options(own["heads"], own["groups"], own["head_width"], weight.shape[1], length, 1)
    for name, values in options.items():
        if own["rope"] == "none" and name in ("theta", "fraction", "turned", "direction"):
            continue
        for value in values:
            if value != own[name]:
                what = ATTENTION.get(name, {"rope": "rope", "scale": "attention scale"}.get(name, name))
                first = scale_named(own) if name == "scale" else own[name]
                second = scale_named(own | {"scale": value}) if name == "scale" else value
                yield Possible(Change(what=what, reference=first, target=second), _set(places, name, value))


def _norms(known: Reading) -> Iterator[Possible]:
    places = [place for place, c in known.choices.items() if c.get("kind") in ("rms", "layer")]
    if not places:
        return
    own = known.choices[places[0]]
    options = {
        "kind": ("rms", "layer"),
        "eps": (1e-5, 1e-6, 1e-8, 1e-12, 1e-3, 0.0),
        "form": ("weight", "1 + weight"),
        "variance": ("population", "sample"),
        "eps_place": ("inside the root", "outside the root"),
    }
    for name, values in options.items():
        for value in values:
            if value != own[name]:
                yield Possible(Change(what=NORM[name], reference=own[name], target=value), _set(places, name, value))
    branches = [f"layers.{i}.{name}" for i in range(known.num_layers) for name in ("attention", "feed_forward")]
    if {placement(known, branch) for branch in branches} <= {"pre", "post", "out"}:
        for name in ("pre", "post", "out"):
            if placement(known, branches[0]) != name:
                change = Change(what="norm placement", reference=placement(known, branches[0]), target=name)
                yield Possible(change, _placed(branches, name))


def _placed(branches: list[str], name: str) -> Callable[[Reading], None]:
    def do(reading: Reading) -> None:
        for branch in branches:
            sides = (f"{branch}.before", f"{branch}.after")
            source = sides[0] if reading.choices[sides[0]]["kind"] != "none" else sides[1]
            norm = {key: v for key, v in reading.choices[source].items() if key != "place"}
            vectors = {v: reading.tensors.get(f"{source}.{v}") for v in ("gain", "bias")}
            goes = sides[0] if name == "pre" else sides[1]
            reading.choices[sides[0]] = reading.choices[sides[1]] = {"kind": "none"}
            reading.choices[goes] = norm | ({} if name == "pre" else {"place": "stream" if name == "post" else "out"})
            reading.tensors |= {f"{goes}.{v}": each for v, each in vectors.items()}

    return do


def _others(known: Reading) -> Iterator[Possible]:
    places = _places(known, "feed_forward")
    own = known.choices[places[0]]
    options = {"activation": list(ACTIVATIONS), "gate": ["first", "second"], "halves": ["blocks", "alternating"]}
    for name, word in OTHER.items():
        if name != "activation" and own["gate"] == "none":
            continue
        for value in options[name]:
            if value != own[name]:
                yield Possible(Change(what=word, reference=own[name], target=value), _set(places, name, value))
    table = known.tensors["embedding.weight"]
    assert table is not None
    for scale in (1.0, table.shape[1] ** 0.5):
        first = known.choices["embedding"]["scale"]
        if abs(scale - first) > 1e-4:
            change = Change(what="embedding scale", reference=first, target=scale)
            yield Possible(change, _set(["embedding"], "scale", scale))
    for cap in (None, 30.0, 50.0, 15.0):
        if cap != known.choices["logits"]["cap"]:
            change = Change(what="logit cap", reference=known.choices["logits"]["cap"], target=cap)
            yield Possible(change, _set(["logits"], "cap", cap))
    for skip, said in ((0.0, "branch"), (2.0, "2·x + branch")):
        residuals = [place for place in known.choices if place.endswith(".residual")]
        yield Possible(Change(what="residual", reference="x + branch", target=said), _set(residuals, "skip", skip))


def _tensors(known: Reading) -> Iterator[Possible]:
    for role in ("attention.qkv", "attention.output", "feed_forward.up", "feed_forward.down"):
        weights = [f"{place}.weight" for place in _places(known, role)]
        first = known.tensors[weights[0]]
        if first is not None and first.shape[0] == first.shape[1]:
            change = Change(what=f"{role}.weight", reference="as it is", target="transposed")
            yield Possible(change, _transposed(weights))
        biases = [f"{place}.bias" for place in _places(known, role)]
        if any(known.tensors.get(bias) is not None for bias in biases):
            yield Possible(Change(what=f"{role}.bias", reference="as it is", target="missing"), _dropped(biases))
    if known.tensors.get("position.rows") is not None:
        yield Possible(Change(what="positions", reference="a table", target="none"), _dropped(["position.rows"]))


def _transposed(roles: list[str]) -> Callable[[Reading], None]:
    def do(reading: Reading) -> None:
        for role in roles:
            tensor = reading.tensors[role]
            assert tensor is not None
            reading.tensors[role] = tensor.T

    return do


def _dropped(roles: list[str]) -> Callable[[Reading], None]:
    return lambda reading: reading.tensors.update(dict.fromkeys(roles))
