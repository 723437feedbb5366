"""`report.md` of a comparison: what the page says, as text; its figures as numbers."""

from __future__ import annotations

from oneblock.compare import tables
from oneblock.compare.engine import Outcome
from oneblock.compare.lines import plots
from oneblock.compare.tables import Table
from oneblock.compare.words import held, number, origin, sentence


def as_markdown(outcome: Outcome, command: str) -> str:
    """The whole text; a table is a Markdown table, and text from outside cannot become one."""
    experiment = outcome.plan.experiment
    parts = [
        f"# {_plain(f'{experiment.row} {experiment.name}'.strip())}",
        f"**{outcome.verdict.capitalize()}.** {_plain(sentence(outcome))}",
        f"Claim: {_plain(experiment.claim)}",
        f"Source: {_plain(experiment.source)}",
        f"{len(outcome.plan.seeds)} seeds, the same data order for every variant; noise floor "
        f"{number(outcome.noise_floor)} ({_plain(tables.what(outcome.findings[0].comparison.measure))}).",
        "## What was compared",
        _table(tables.findings(outcome)),
        "## Results",
        f"Held equal: {_plain(held(outcome))}. Mean ± standard deviation over seeds.",
        _table(tables.results(outcome)),
    ]
    figures = []
    for plot in plots(outcome):
        if found := tables.points(outcome, plot):
            figures += [f"### {_plain(plot.title)}", _table(found)]
    if figures:
        parts += ["## Figures", "The mean over seeds, and in brackets the lowest and the highest.", *figures]
    parts += ["## Variants", _table(tables.variants(outcome))]
    if outcome.outlooks:
        says, table = tables.power(outcome)
        parts += ["## What the seeds can tell", says, _table(table)]
    parts += ["## How it was run", f"```sh\n{command}\n```", *map(_plain, origin(outcome))]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> str:
    head, *lines = (f"| {' | '.join(map(_plain, line))} |" for line in (table.names, *table.lines))
    rule = f"|{'|'.join(['---'] + ['---:' if _numbers(table) else '---'] * (len(table.names) - 1))}|"
    return "\n".join([head, rule, *lines])


def _numbers(table: Table) -> bool:
    """Whether all but the first column are numbers."""
    return all(cell[:1].isdigit() or cell[:1] in "−+–<" for line in table.lines for cell in line[1:])


def _plain(words: str) -> str:
    """The words as words: on one line, and nothing in them Markdown's or HTML's."""
    for mark in "\\`*_[]<>|#":
        words = words.replace(mark, f"\\{mark}")
    return " ".join(words.split())
