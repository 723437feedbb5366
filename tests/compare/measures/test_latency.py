"""Latency by length: every length is timed both ways, and the logits agree."""

import pytest

from oneblock.compare.measures import latency


def test_both_ways_at_every_length(subject, monkeypatch):
    seconds = iter(range(1, 10**6))
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(seconds) ** 2)
    found = latency.measure(subject("context=64"))
    for name in ("cached latency", "uncached latency"):
        assert [x for x, _ in found.curves[name]] == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0]
        assert all(y > 0 for _, y in found.curves[name])
    assert found.measures["cache_error"] < -12
    # The clock goes faster and faster: the fastest of several is always the first.
    uncached = [y for _, y in found.curves["uncached latency"]]
    assert uncached == pytest.approx([1e3 * (2 * 10 * n + 3) for n in range(6)])


def test_a_cache_that_is_off_shows(subject, monkeypatch):
    made = subject()
    whole = type(made.model).forward
    off = lambda self, tokens, cache=None: whole(self, tokens, cache=cache) + (0.5 if cache is not None else 0)  # noqa: E731
    monkeypatch.setattr(type(made.model), "forward", off)
    assert latency.measure(made).measures["cache_error"] == pytest.approx(-0.30103, abs=1e-4)
