"""Writes docs/results/compare-times.md: how long each experiment of `oneblock compare` trains, from stores of its runs.

`python docs/make_compare_times.py BUDGET=FOLDER …`, each FOLDER an --out of `oneblock compare`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from oneblock.compare.engine import beyond_grid
from oneblock.compare.experiments import EXPERIMENTS
from oneblock.compare.hands import here
from oneblock.compare.plan import plan
from oneblock.compare.store import Store
from oneblock.compare.work import TUNING_SEED, Work

PAGE = Path(__file__).resolve().parent / "results" / "compare-times.md"
CORES = 2
INTRODUCTION = """# How long comparisons take

```sh
python docs/make_compare_times.py {words}
```

Minutes on two cores: half of the seconds that the training loops of all runs of an experiment took, one thread each
(`--workers 2`), rates that were tried included. "As run" is the sum of what was measured, on a machine that was often
busy with other work; "free" takes every run at the pace of the quickest run of its variant and budget. Probes, and
experiments that train nothing, are not in it. Runs that two experiments share are counted in both, and trained once:
the last line counts each once.
"""


def table(budget: str, folder: Path) -> list[str]:
    """A line for each experiment that trains, and their sum."""
    store = Store(folder)
    lines = [f"## {budget}", "", "| experiment | runs | as run | free |", "|---|---|---|---|"]
    whole: dict[str, tuple[float, float]] = {}
    for name, experiment in EXPERIMENTS.items():
        if not experiment.trains:
            continue
        made = plan(experiment, experiment.budget(budget))
        work = Work(plan=made, store=store, device="cpu", tell=print, hands=here)
        taken: dict[str, tuple[float, float]] = {}
        for variant in made.variants:
            rates = (*made.rates, *beyond_grid(made).values())
            keys = [work.cell(variant, rate, seed).key for seed in (TUNING_SEED, *made.seeds) for rate in rates]
            seconds = {key: float(of["seconds"]) for key, of in store.results(keys).items()}
            free = min(seconds.values(), default=0.0)
            taken |= {key: (took, free) for key, took in seconds.items()}
        whole |= taken
        lines.append(f"| `{name}` | {len(taken)} | {_minutes(taken, 0)} | {_minutes(taken, 1)} |")
    store.close()
    lines.append(f"| all, each run once | {len(whole)} | {_minutes(whole, 0)} | {_minutes(whole, 1)} |")
    return lines


def _minutes(taken: dict[str, tuple[float, float]], which: int) -> str:
    return f"{sum(of[which] for of in taken.values()) / 60 / CORES:.1f}"


if __name__ == "__main__":
    parts = [word.partition("=") for word in sys.argv[1:]]
    found = ["\n".join(table(budget, Path(folder))) for budget, _, folder in parts]
    words = " ".join(sys.argv[1:])
    PAGE.write_text(INTRODUCTION.format(words=words) + "\n" + "\n\n".join(found) + "\n", encoding="utf-8")
    print(PAGE.relative_to(PAGE.parents[2]))
