import json
import math
import random
import struct

import pytest

from oneblock.runs.jsonform import dump_exact, from_words, load_exact, to_words


def test_floats_come_back_bit_for_bit() -> None:
    dice = random.Random(11)
    floats = [struct.unpack("<d", dice.randbytes(8))[0] for _ in range(2003)]
    floats += [0.0, -0.0, 5e-324, 1.7976931348623157e308, 0.1, 1 / 3]
    floats = [value for value in floats if not math.isnan(value)]
    found = load_exact(dump_exact(floats))
    assert [struct.pack("<d", value) for value in found] == [struct.pack("<d", value) for value in floats]


def test_exact_keeps_non_finite_apart_from_words() -> None:
    value = {
        "a": math.inf,
        "b": "Infinity",
        "c": [-math.inf, "NaN", None, True, 2**70],
        "d": {"__float__": 1, "e": 2},
    }
    text = dump_exact(value)
    json.loads(text, parse_constant=lambda word: pytest.fail(word))
    assert load_exact(text) == value
    assert math.isnan(load_exact(dump_exact(math.nan)))


def test_words() -> None:
    assert to_words({"a": (math.inf, -math.inf)}) == {"a": ["Infinity", "-Infinity"]}
    assert from_words({"a": ["Infinity", "-Infinity", "infinity"]}) == {"a": [math.inf, -math.inf, "infinity"]}


@pytest.mark.parametrize("bad", [{1: 2}, {"a": [{None: 1}]}, [object()], b"bytes", {1, 2}, 1j])
def test_what_json_would_change_is_refused(bad: object) -> None:
    for dump in (dump_exact, to_words):
        with pytest.raises(TypeError):
            dump(bad)
