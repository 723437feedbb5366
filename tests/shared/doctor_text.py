"""The page of the doctor's proof, from the rows that docs/make_doctor.py has examined."""

import importlib.util
from importlib.metadata import version
from typing import Any

INTRODUCTION = """# Doctor

```sh
pip install 'oneblock[peers]'
python docs/make_doctor.py
```

Small transformers with one fault each, and healthy ones, each examined with nothing declared of it. A fault counts as
**found** where one of the checks named for it answers FAIL, or WARN where a WARN is right (marked *w*: it may be meant,
or only training or half precision shows it). The checks that train (I3, O1) are asked where the others say nothing.

| source | what it is | how it was written |
|---|---|---|
| own hosts | `tests/shared/doctor_zoo.py`: a GPT-2 of one's own, one in nanoGPT's manner, an encoder | with the checks |
| second list | `tests/shared/doctor_blind.py`: RoPE or ALiBi, grouped heads, experts, windows; an encoder-decoder | by somebody \
who knew the checks, in other hosts; 67 of 76 found when it was first run |
| transformers | `tests/shared/doctor_peers.py`: GPT-2, Llama, Mixtral, BERT and T5 of transformers{transformers}, a part \
of their own classes replaced | by somebody who knew the checks |
| blind list | `tests/shared/doctor_unseen.py`: five hosts | without a look at the checks; which check should tell a fault \
was written down afterwards |
| second blind list | `tests/shared/unseen_second.py`: two more hosts | as the blind list |

Checks were mended, for the kind of fault and not for the case, where a list showed that they had to be. So the shares
below say that the checks work, and not how many faults that nobody has thought of they would find: for that the first
runs over the blind lists say more ([doctor-unseen.md](doctor-unseen.md)).

What behaviour alone cannot show, and a reference can (`--against`): GELU forms, eps and its place, unbiased variance,
SiLU on the other half, half-split RoPE against neighbours, a wrong base of RoPE that is used consistently.
"""
UNTOLD = """Some are told as INFO, as choices are: scores by 1/d (A2, as in μP), a loss that is a sum (L2), groups tiled for
keys and values alike (G1). A decoder without positions, or with one distance for all, is a design: its mask still tells
it an order; and branches that subtract the stream twice in a block give it back. What is said more softly than the list
wants is in the last column.
"""
ORDER = ("own hosts", "second list", "transformers", "blind list", "second blind list")
BLIND = ("blind list", "second blind list")
EXPERTS = "experts with few places, as published: who comes first gets one"
JUSTIFIED = (
    ("surer than chance", "the published start: a large embedding beneath its head"),
    (
        "as transformers has it",
        "the start that its class has: no 1/√d before the head, an embedding of standard deviation 1",
    ),
    ("these are the first 3 of 4 heads'", "said, not judged: three heads with the slopes of four"),
    ("no window was declared", "a window that nobody declared; with `--expect window=N` there is none"),
    ("besides attention mixes tokens", "so it is, and it is meant"),
    ("is no plain cross-entropy", "so it is: label smoothing"),
    ("right padding only", "it reads the first place, as said"),
    ("in train mode later tokens", EXPERTS),
    ("in train mode rows", EXPERTS),
    ("places at experts", EXPERTS),
    ("experts that no", "few tokens, and a router that nobody trained"),
    ("that are partly hidden", "the token for hidden patches, which only training on them reads"),
    ("experts are used unevenly", "few tokens, and a router that nobody trained"),
)
"""Part of a WARN's message -> why a healthy model may have it."""
TRUE = (
    ("is sure and wrong", "true: its host ties the head to an embedding of standard deviation 1"),
    ("encoder.norms.1.weight", "true: its host makes norms for a cross-attention that an encoder has not"),
    ("layers.0.mix", "true: in the first layer there is nothing to mix in"),
    ("registered under several names", "true, and to be declared: `--expect shared`"),
)
"""Part of a FAIL's message -> what is wrong with a host that its writer took for healthy."""


def loud(row: dict[str, Any]) -> list[str]:
    """The checks that alarm as loudly as they should."""
    enough = ("FAIL",) if row["want"] == "FAIL" else ("FAIL", "WARN")
    return [check for check, status, _ in (*row["told"], *row.get("declared", ())) if status in enough]


def found(row: dict[str, Any]) -> bool:
    """Whether a check named for it tells it."""
    return bool(set(loud(row)) & set(row["wanted"].split()))


def share(some: int, of: int) -> str:
    return f"{some} of {of} ({some / of:.1%})" if of else "–"


def table(head: str, lines: list[str]) -> list[str]:
    return [f"| {head} |", "|" + "---|" * (head.count("|") + 1), *lines, ""]


def page(ill: list[dict[str, Any]], well: list[dict[str, Any]], checks: list[str], torch: str) -> str:
    """The whole page."""
    peers = importlib.util.find_spec("transformers") is not None
    said = f" {version('transformers')}" if peers else " (not installed: those hosts are left out here)"
    hit, blind = [row for row in ill if found(row)], [row for row in ill if row["source"] in BLIND]
    hard = [row for row in ill if row["want"] == "FAIL"]
    alarmed = [row for row in well if any(status == "FAIL" for _, status, _ in row["told"])]
    false = [row for row in alarmed if any(s == "FAIL" and not why("FAIL", m) for _, s, m in row["told"])]
    hosts = {(row["source"], row["host"]) for row in ill}
    lines = [
        INTRODUCTION.format(transformers=said),
        f"torch {torch}, CPU.",
        "",
        f"**{share(len(hit), len(ill))} faults in {len(hosts)} hosts found, by a check that should; of those that call "
        f"for a FAIL {share(sum(map(found, hard)), len(hard))}; of the {len(blind)} that were written blind "
        f"{share(sum(map(found, blind)), len(blind))}. {len(false)} of {len(well)} healthy models have a FAIL that is "
        f"false.** {len(alarmed) - len(false)}, hosts of the blind lists, have one that is true and that their writer did "
        "not know of.",
        "",
        "## By source",
        "",
        *by_source(ill),
        "## By host",
        "",
        *by_host(ill),
        "## By check",
        "",
        "Of the faults for which a check is named, how many it tells itself, and how many are told at all by one that "
        "is named; then how often it alarms beside others, and in healthy models.",
        "",
        *by_check(ill, well, checks),
        "## Missed",
        "",
        UNTOLD,
        *missed(ill),
        "## Healthy models",
        "",
        *healthy(well),
        "## Every fault",
        "",
        *every(ill),
    ]
    return "\n".join(lines).rstrip() + "\n"


def by_source(ill: list[dict[str, Any]]) -> list[str]:
    lines = []
    for source in ORDER:
        rows = [row for row in ill if row["source"] == source]
        hard = [row for row in rows if row["want"] == "FAIL"]
        some = sum(bool(row["told"] or row.get("declared")) for row in rows)
        lines += [
            f"| {source} | {len(rows)} | {share(sum(map(found, rows)), len(rows))} | "
            f"{share(sum(map(found, hard)), len(hard))} | {some} |"
        ]
    return table("source | faults | found | of those that call for a FAIL | any alarm at all", lines)


def by_host(ill: list[dict[str, Any]]) -> list[str]:
    lines = []
    for source, host in dict.fromkeys((row["source"], row["host"]) for row in ill):
        rows = [row for row in ill if (row["source"], row["host"]) == (source, host)]
        lines += [f"| {source} | {host} | {share(sum(map(found, rows)), len(rows))} |"]
    return table("source | host | found", lines)


def by_check(ill: list[dict[str, Any]], well: list[dict[str, Any]], checks: list[str]) -> list[str]:
    lines = []
    for check in checks:
        named = [row for row in ill if check in row["wanted"].split()]
        itself = sum(check in loud(row) for row in named)
        beside = sum(check in loud(row) for row in ill) - itself
        false = sum(any(c == check for c, _, _ in row["told"]) for row in well)
        if named or beside or false:
            lines += [f"| {check} | {len(named)} | {itself} | {sum(map(found, named))} | {beside} | {false} |"]
    return table("check | named for | tells itself | told | beside others | in healthy models", lines)


def missed(ill: list[dict[str, Any]]) -> list[str]:
    lines = []
    for row in ill:
        if not found(row):
            told = "; ".join(f"{check} {status}: {message}" for check, status, message in row["told"][:2])
            told = clean(row.get("broke", "") or told or "nothing")
            lines += [f"| {row['source']} | {row['host']} | {row['name']} | {row['wanted']} | {told[:200]} |"]
    return table("source | host | fault | should be found by | what is told", lines) if lines else ["None.", ""]


def healthy(well: list[dict[str, Any]]) -> list[str]:
    kinds = dict.fromkeys(row["source"] for row in well)
    lines = []
    for source in kinds:
        rows = [row for row in well if row["source"] == source]
        bad = sum(any(status == "FAIL" for _, status, _ in row["told"]) for row in rows)
        soft = sum(bool(row["told"]) for row in rows) - bad
        lines += [f"| {source} | {len(rows)} | {bad} | {soft} | {', '.join(name(row) for row in rows)} |"]
    alarms = []
    for row in well:
        for check, status, message in row["told"]:
            right = why(status, message) or "**none**"
            alarms += [f"| {row['source']} | {name(row)} | {check} | {status} | {clean(message)[:200]} | {right} |"]
        if "broke" in row:
            alarms += [f"| {row['source']} | {name(row)} | – | not examined | {clean(row['broke'])[:200]} | |"]
    head = "source | model | check | verdict | says | why it is right"
    return table("source | models | with a FAIL | with a WARN alone | which", lines) + table(head, alarms)


def why(status: str, message: str) -> str:
    """Why an alarm in a healthy model is right; "" where it is not."""
    return next((reason for part, reason in (TRUE if status == "FAIL" else JUSTIFIED) if part in message), "")


def name(row: dict[str, Any]) -> str:
    return f"{row['host']} {row['name']}" if row["host"] not in ("preset", "nano") else row["name"]


def every(ill: list[dict[str, Any]]) -> list[str]:
    lines = []
    for row in ill:
        alarms = list(dict.fromkeys(check for check, _, _ in row["told"]))
        more = [check for check, _, _ in row.get("declared", ())]
        told = ", ".join(alarms) or (f"once declared: {', '.join(more)}" if more else "nothing")
        mark = " *w*" if row["want"] == "WARN" else ""
        hit = "yes" if found(row) else "**no**"
        lines += [f"| {row['source']} | {row['host']} | {row['name']}{mark} | {row['wanted']} | {told} | {hit} |"]
    return table("source | host | fault | should be found by | alarms | found", lines)


def clean(message: str) -> str:
    return message.replace("|", "/").replace("\n", " ")
