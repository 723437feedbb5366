"""`oneblock compare`: an experiment: a claim, its variants, fair budgets, several seeds, a verdict."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneblock.cli.common import Verb, at_least, say
from oneblock.config.errors import OneblockError

if TYPE_CHECKING:
    from oneblock.compare.hands import Hands
    from oneblock.compare.plan import Plan

FOLDER = Path("runs/compare")
BUDGETS = ("smoke", "quick", "standard", "full")
ASKED = ("budget", "seeds", "seed", "settings", "vary", "base", "variants", "equal", "seeds_together")
"""What `--resume` takes from the time when the comparison was begun."""


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `oneblock compare`."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="an experiment by name or row (--list)")
    parser.add_argument("--list", action="store_true", help="the experiments and their claims")
    parser.add_argument("--budget", choices=BUDGETS, help="how much (quick)")
    parser.add_argument("--seeds", type=at_least(2), metavar="K", help="runs of each variant (the budget's)")
    parser.add_argument("--seed", type=at_least(0), metavar="N", help="the first of them (0)")
    parser.add_argument(
        "--vary", metavar="PATH=A,B,…", help="compare values of one setting; the first against the others"
    )
    parser.add_argument("--base", metavar="PRESET", help="what --vary starts from (nano)")
    parser.add_argument(
        "--variants", nargs="+", type=Path, metavar="FILE", help="compare whole configurations (config.json)"
    )
    parser.add_argument(
        "--equal",
        choices=("tokens", "parameters", "flops", "time"),
        help="held equal: with --vary, --variants (tokens); of an experiment time, instead of what it says",
    )
    parser.add_argument("--resume", action="store_true", help="go on as begun in --out: its budget, seeds and settings")
    parser.add_argument("--workers", type=at_least(1), metavar="N", help="processes that share the runs (1)")
    parser.add_argument(
        "--seeds-together",
        choices=("auto", "always", "never"),
        help="train a variant's seeds as one model: where a trial finds it faster, or wherever it can be done "
        "(auto on a GPU, never on a CPU)",
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="ray: a cluster's machines (local)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help=f"results and reports ({FOLDER})")


def run(args: argparse.Namespace) -> dict[str, Any]:
    """List the experiments, or run one and give its verdict."""
    from oneblock.compare.experiments import EXPERIMENTS

    if args.list:
        listed = [{"name": e.name, "row": e.row, "claim": e.claim} for e in EXPERIMENTS.values()]
        for entry in [] if args.json else listed:
            print(f"{entry['row']:4} {entry['name']:15} {entry['claim']}")
        return {"experiments": listed}
    plan = make_plan(args)
    from oneblock.compare.engine import compare
    from oneblock.compare.markdown import as_markdown
    from oneblock.compare.report import page
    from oneblock.compare.seeds import Seeds, when
    from oneblock.compare.store import Store
    from oneblock.compare.words import as_json, as_text
    from oneblock.machine.device import pick_device
    from oneblock.runs.durable import replace
    from oneblock.runs.jsonform import to_words

    folder = _folder(args.out, plan.experiment.name, args.budget)
    device = str(pick_device(args.device))
    hands_here = Seeds(when(args.seeds_together, plan.experiment, device, several=_several(args)), say)
    store = Store(args.out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        asked = {name: _plain(getattr(args, name)) for name in ASKED}
        replace(folder / "asked.json", json.dumps(asked, indent=1).encode())
        if plan.experiment.equal == "time":
            from oneblock.compare.timing import equalised, said

            with _threads_of_one(args.workers):
                plan = equalised(plan, device, folder, resume=args.resume)
            say(said(plan))
        with _hands(args) or nullcontext(hands_here) as hands:
            outcome = compare(plan, store, device=device, tell=say, hands=hands)
    finally:
        store.close()
    command = shlex.join(["oneblock", *sys.argv[1:]])
    result = as_json(outcome, str(folder / "report.html"), command)
    replace(folder / "report.html", page(outcome, command).encode())
    replace(folder / "report.md", as_markdown(outcome, command).encode())
    replace(folder / "results.json", json.dumps(to_words(result), ensure_ascii=False, indent=1).encode())
    print(as_text(outcome), file=sys.stderr if args.json else sys.stdout)
    say(f"report: {folder / 'report.html'}")
    return result


def _folder(out: Path, name: str, budget: str | None) -> Path:
    """Where a comparison's reports are: of each budget its own, of quick the one that has the plain name."""
    return out / (name if budget in (None, "quick") else f"{name}-{budget}")


@contextmanager
def _threads_of_one(workers: int | None) -> Iterator[None]:
    """What is timed for all of them has as many threads as one of so many workers will have."""
    import torch

    had = torch.get_num_threads()
    torch.set_num_threads(max(1, had // (workers or 1)))
    try:
        yield
    finally:
        torch.set_num_threads(had)


def _several(args: argparse.Namespace) -> bool:
    return args.engine == "ray" or (args.workers or 1) > 1


def _hands(args: argparse.Namespace) -> AbstractContextManager[Hands] | None:
    """Who runs the cells, where it is not this process alone."""
    if args.engine == "ray":
        from oneblock.compare.cluster import cluster

        return cluster()
    if args.workers and args.workers > 1:
        from oneblock.compare.processes import workers

        return workers(args.workers, args.out)
    return None


def make_plan(args: argparse.Namespace) -> Plan:
    """What the arguments ask for, checked before anything is run. Loads no torch."""
    from oneblock.compare import own
    from oneblock.compare.experiments import EXPERIMENTS, experiment
    from oneblock.compare.plan import plan

    _one_of(args)
    if args.resume:
        _as_asked(args)
    budget_name = args.budget or "quick"
    given = None
    if args.variants:
        found, given = own.from_files(args.variants, args.equal or "tokens")
        budget = own.budget_of_files(budget_name)
    elif args.vary:
        found = own.vary(args.vary, args.base or "nano", args.equal or "tokens")
        budget = found.budget(budget_name)
    else:
        found = experiment(args.name)
        others = [e.name for e in EXPERIMENTS.values() if e.row == found.row and e is not found]
        if args.name.upper() == found.row and others:
            say(f"{found.row} is {found.name}, and by their own names {', '.join(others)}")
        budget = found.budget(budget_name)
        if args.equal:
            # A comparison of another kind, under a name of its own.
            found = own.at_equal_time(found)
    return plan(found, budget, settings=args.settings, seeds=args.seeds, first_seed=args.seed or 0, given=given)


def _one_of(args: argparse.Namespace) -> None:
    given = [name for name in ("name", "vary", "variants") if getattr(args, name)]
    if len(given) != 1 and not (args.resume and not given):
        raise OneblockError("give one of NAME, --vary and --variants; oneblock compare --list names the experiments")
    if args.engine == "ray" and args.workers:
        raise OneblockError("--workers is for --engine local; of a cluster all cores are used")
    if args.device.startswith("cuda") and (args.workers or 1) > 1:
        raise OneblockError(f"--workers {args.workers}: a GPU is one process's; leave --workers out, or --device cpu")
    if not given:
        raise OneblockError("--resume needs the comparison's NAME, --vary or --variants, as it was begun")
    for option, needed in (("base", ("vary",)), ("equal", ("vary", "variants"))):
        if getattr(args, option) is not None and given[0] not in needed:
            if option == "equal" and args.equal == "time":
                continue
            raise OneblockError(
                f"--{option} is for {' and '.join('--' + name for name in needed)}, not for an experiment"
            )


def _as_asked(args: argparse.Namespace) -> None:
    """Take the options from the time when the comparison was begun; those given now must say the same."""
    from oneblock.compare import own
    from oneblock.compare.experiments import experiment

    if args.vary:
        name = own.vary(args.vary, args.base or "nano").name
    elif args.variants:
        name = own.from_files(args.variants)[0].name
    else:
        found = experiment(args.name)
        name = (own.at_equal_time(found) if args.equal else found).name
    budgets = (args.budget,) if args.budget else BUDGETS
    begun = [path for path in (_folder(args.out, name, of) / "asked.json" for of in budgets) if path.exists()]
    if len(begun) > 1:
        names = ", ".join(path.parent.name for path in begun)
        raise OneblockError(f"--resume: {names} were begun in {args.out}; say which by --budget")
    try:
        asked = json.loads(begun[0].read_text(encoding="utf-8"))
    except (IndexError, OSError, ValueError):
        raise OneblockError(f"--resume: no comparison {name} was begun in {args.out}; leave --resume out") from None
    for option in ASKED:
        now = _plain(getattr(args, option))
        if now not in (None, [], asked.get(option)):
            was = asked.get(option)
            raise OneblockError(
                f"--resume goes on as it was begun, with {option}={was}, not {now}; leave one of them out"
            )
        if option != "variants":
            setattr(args, option, asked.get(option))


def _plain(value: Any) -> Any:
    return [str(entry) for entry in value] if isinstance(value, list) else value


VERB = Verb(
    name="compare",
    summary="run an experiment: a claim, its variants, a verdict",
    options=options,
    run=run,
)
