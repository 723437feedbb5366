"""The proof's list, and the page that is made of its rows."""

import doctor_proof as proof
import doctor_text as text

from oneblock.doctor.checks import CHECKS

FAULTS, HEALTHY = proof.faults(), proof.healthy()


def test_the_list_is_what_the_page_says():
    blind = [case for case in FAULTS if case.source in text.BLIND]
    assert len(FAULTS) >= 350 and len({(c.source, c.host) for c in FAULTS}) >= 10
    assert len(blind) >= len(FAULTS) / 3
    assert len({(c.source, c.host, c.name) for c in FAULTS}) == len(FAULTS)
    assert len({(c.source, c.host, c.name) for c in HEALTHY}) == len(HEALTHY) >= 90
    assert {c.source for c in FAULTS} <= set(text.ORDER)
    for case in FAULTS:
        assert case.told in ("FAIL", "WARN") and set(case.wanted.split()) <= set(CHECKS) and case.wanted, case


def row(want, wanted, told, source="own hosts", **more):
    return {"source": source, "host": "Gpt", "name": "a fault", "want": want, "wanted": wanted, "told": told} | more


def test_a_warning_is_enough_only_where_it_is_right():
    soft = [["C1", "WARN", "may see"]]
    assert text.found(row("WARN", "C1 K1", soft)) and not text.found(row("FAIL", "C1", soft))
    assert not text.found(row("WARN", "K1", soft))
    assert text.found(row("FAIL", "C1", [], declared=[["C1", "FAIL", "sees"]]))


def test_the_page_counts_and_names_what_was_missed():
    ill = [
        row("FAIL", "C1", [["C1", "FAIL", "sees"], ["K1", "FAIL", "differs"]]),
        row("FAIL", "N1", [["C1", "FAIL", "sees"]], name="another fault"),
        row("WARN", "A2", [], source="blind list", name="a third"),
    ]
    well = [
        row("", "", [], name="well"),
        row("", "", [["C4", "WARN", "7 seen; no window was declared"]], name="a window"),
        row("", "", [["W2", "FAIL", "1 of 30 parameters: layers.0.mix"]], name="known"),
        row("", "", [["W2", "FAIL", "something else"]], name="false"),
    ]
    page = text.page(ill, well, ["C1", "K1", "N1", "A2", "C4", "W2"], "2.13.0")
    assert "**1 of 3 (33.3%) faults in 2 hosts found" in page and "call for a FAIL 1 of 2 (50.0%)" in page
    assert "written blind 0 of 1 (0.0%). 1 of 4 healthy models have a FAIL that is false.** 1, hosts of" in page
    assert "| C1 | 1 | 1 | 1 | 1 | 0 |" in page and "| K1 | 0 | 0 | 0 | 1 | 0 |" in page
    missed = page.partition("## Missed")[2].partition("## Healthy")[0]
    assert (
        "another fault" in missed
        and "C1 FAIL: sees" in missed
        and "a third" in missed
        and "Gpt | a fault |" not in missed
    )
    assert "a window that nobody declared" in page and "| **none** |" in page
    assert "| blind list | Gpt | a third *w* | A2 | nothing | **no** |" in page
