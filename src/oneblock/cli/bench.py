"""`oneblock bench train|generate`: speed against peers and against this machine's limits."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from oneblock.cli.common import Verb, above_zero, at_least, say
from oneblock.config import presets
from oneblock.config.errors import OneblockError
from oneblock.config.override import override

PROMPT, NEW = 32, 200


def options(parser: argparse.ArgumentParser) -> None:
    """The arguments of `oneblock bench`."""
    parser.add_argument("kind", choices=("train", "generate"), help="what is measured")
    parser.add_argument("--preset", default="nano", metavar="NAME", help=f"the model ({', '.join(presets.PRESETS)})")
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="hf|x-transformers|PRESET|PATH",
        help="a rival: a package, another of our presets, or the folder of a nanoGPT checkout (repeatable)",
    )
    parser.add_argument("--rounds", type=at_least(1), default=5, metavar="N", help="turns of every arm (5)")
    parser.add_argument("--seconds", type=above_zero, default=3.0, help="about how long a turn takes (3)")
    parser.add_argument(
        "--batch", type=at_least(1), metavar="N", help="sequences a step (train: the preset's; generate: 1)"
    )
    parser.add_argument("--context", type=at_least(2), metavar="N", help="tokens a sequence (the preset's)")
    parser.add_argument("--prompt-tokens", type=at_least(1), metavar="N", help=f"tokens read ({PROMPT})")
    parser.add_argument("--tokens", type=at_least(1), metavar="N", help=f"tokens then made ({NEW})")
    parser.add_argument("--threads", type=at_least(1), metavar="N", help="CPU threads (torch's choice)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of weights and tokens")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the result there too, as bench.json")
    # To judge `machine.allocator`: the same arms without it.
    parser.add_argument("--allocator", action="store_true", help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure, print the table, and give the result."""
    from oneblock.bench.measure import measure
    from oneblock.bench.summary import summarise
    from oneblock.bench.table import show

    job = make_job(args)
    measured = measure(job, args.against, rounds=args.rounds, seconds=args.seconds, allocator=args.allocator, tell=say)
    result = summarise(measured, args.rounds)
    show(result, sys.stderr if args.json else sys.stdout)
    for entry in measured.entries:
        if entry.wrong:
            say(f"{entry.arm.rival}, {entry.arm.name}: {entry.why}")
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "bench.json").write_text(json.dumps(result, indent=1, default=str) + "\n")
    return result


def make_job(args: argparse.Namespace) -> Any:
    """The work that the arguments describe; an error where they do not go together."""
    from oneblock.bench.job import GENERATE, Job, without_chance

    config = without_chance(override(presets.preset(args.preset), *args.settings))
    if args.context is not None:
        config = override(config, f"context={args.context}")
    if args.kind != GENERATE:
        if args.tokens or args.prompt_tokens:
            raise OneblockError("--tokens and --prompt-tokens are for `bench generate`; here, use --context")
        batch = args.batch or config.recipe.batch_size
        return Job(
            kind=args.kind,
            config=config,
            batch=batch,
            threads=args.threads,
            device=args.device,
            seed=args.seed,
        )
    context = config.model.context
    prompt = args.prompt_tokens or min(PROMPT, max(1, context // 4))
    new = args.tokens or min(NEW, context - prompt)
    if prompt + new > context or new < 1:
        raise OneblockError(
            f"{prompt} tokens read and {new} made are {prompt + new}, beyond the context of {context}; "
            "lower --prompt-tokens or --tokens, or raise --context"
        )
    return Job(
        kind=args.kind,
        config=config,
        batch=args.batch or 1,
        prompt=prompt,
        new=new,
        threads=args.threads,
        device=args.device,
        seed=args.seed,
    )


VERB = Verb(
    name="bench",
    summary="measure speed against peers and against this machine's limits",
    options=options,
    run=run,
)
