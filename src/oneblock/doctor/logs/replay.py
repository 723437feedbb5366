"""`replay(run, log, step)`: a run's steps around an onset taken once more, from the checkpoint before; who moved first.

Batches and random numbers are functions of (seed, step), so the replay meets the same losses, bit for bit where the
machine is the same. Where it does not, the cause is none of what can be replayed: weights, data, and rate.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from oneblock.config.serial import config_from_dict
from oneblock.doctor.errors import DoctorError
from oneblock.doctor.logs.log import Log
from oneblock.models.build import build
from oneblock.runs.checkpoint import load_checkpoint
from oneblock.runs.errors import RunError
from oneblock.runs.folder import Run
from oneblock.train import horizon as horizons
from oneblock.train import schedule
from oneblock.train.clip import clip_gradients
from oneblock.train.guard import SpikeGuard
from oneblock.train.layout import Layout
from oneblock.train.look import Looks
from oneblock.train.optimizer import make_optimizer
from oneblock.train.seeds import step_seed
from oneblock.train.state import Training
from oneblock.train.step import Gradients
from oneblock.train.tasks import TASKS
from oneblock.train.tasks.task import on_device

FARTHEST, BEYOND = 300, 8
"""The most steps that are taken to reach an onset, and those taken beyond it."""
NAMES = {"grad_norms": "gradients", "max_logit": "largest attention logit", "stream": "stream", "updates": "updates"}


@dataclass(kw_only=True)
class Patient:
    """A run's model, data and optimiser as they were at a checkpoint."""

    parts: Training
    gradients: Gradients
    looks: Looks
    batch: Callable[[int], Any]
    config: Any


def replay(run: Path | str, log: Log, step: float, tell: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Take the steps around `step` again and say which layer left first what it had been.

    Gives `words`, `from_step`, `steps`, `same` (whether the losses are those of the log) and `first` (layer, quantity
    and step, or None). The run's folder is only read. DoctorError where it is no run.
    """
    try:
        folder = Run.open(Path(run))
        config = config_from_dict(folder.read_json("config.json"))
        task = TASKS[type(config.recipe.objective)].reopen(config, folder)
    except RunError as error:
        raise DoctorError(f"{run} cannot be replayed: {error}") from error
    begin = _before(folder, step)
    if isinstance(begin, str):
        return {"words": [begin], "from_step": None, "steps": 0, "same": None, "first": None}
    patient = _patient(config, task, folder, begin)
    last = int(step) + BEYOND
    tell(f"replaying steps {begin} to {last}")
    rows = [_step(patient, number) for number in range(begin, last)]
    return _told(rows, log, begin)


def _before(run: Run, step: float) -> int | str:
    """The step of the newest whole checkpoint before the onset; words where none is near enough."""
    home = run.path / "checkpoints"
    steps = sorted(int(path.name[5:]) for path in home.glob("step-*") if path.name[5:].isdigit())
    near = [each for each in steps if step - FARTHEST <= each < step]
    # The weights of step 0 are the seed's: they need no checkpoint.
    if not near and step <= FARTHEST:
        return 0
    if near:
        return near[-1]
    there = ", ".join(map(str, steps)) or "none"
    return f"not replayed: no checkpoint is left within {FARTHEST} steps before step {step:g} (there: {there})"


def _patient(config: Any, task: Any, run: Run, begin: int) -> Patient:
    recipe = config.recipe
    model = build(config, seed=recipe.seed)
    precision = _precision(recipe.precision)
    layout = Layout(model)
    gradients = Gradients(
        model,
        precision=precision,
        accumulation=recipe.accumulation,
        input_noise=recipe.input_noise,
        seed=recipe.seed,
        loss=task.loss,
        num_targets=task.num_targets,
        layout=layout,
    )
    optimizer = make_optimizer(model, recipe.optimizer)
    horizon = horizons.of_steps(recipe, recipe.steps) if recipe.steps is not None else None
    parts = Training(model, optimizer, None, SpikeGuard(), horizon)
    checkpoints = run.path / "checkpoints"
    if begin or (checkpoints / "step-00000000").is_dir():
        parts.load(load_checkpoint(run.path, begin))
    elif horizon is None and any(checkpoints.glob("step-*")):
        parts.horizon = horizons.Horizon(**load_checkpoint(run.path).state["horizon"])
    looks = Looks(gradients, layout, optimizer, recipe.clip)

    def batch(step: int) -> Any:
        total = parts.horizon
        whole = recipe.refit == 1 or (total is not None and step >= total.steps * (1 - recipe.refit))
        seed = step_seed(recipe.seed, parts.guard.rollbacks)
        return on_device(task.batch(step, seed, whole=whole), gradients.device)

    return Patient(parts=parts, gradients=gradients, looks=looks, batch=batch, config=config)


def _precision(name: str) -> Any:
    from oneblock.machine.device import pick_device
    from oneblock.machine.precision import pick_precision

    return pick_precision(name, pick_device("cpu"))


def _step(patient: Patient, number: int) -> dict[str, Any]:
    """One step as the loop takes it, without its guard's history: a step that was refused is refused again."""
    parts, recipe = patient.parts, patient.config.recipe
    total = parts.horizon.steps if parts.horizon else 10**9
    parts.optimizer.set_lr_factor(schedule.factor(recipe.schedule, number, total))
    batch = patient.batch(number)
    parts.optimizer.zero_grad()
    loss = float(patient.gradients(*batch, step=number))
    norm = float(clip_gradients(parts.optimizer.parameters(), recipe.clip or float("inf")))
    verdict = parts.guard.verdict(loss, norm) if recipe.guard else "ok"
    patient.looks.before(number, batch, norm, verdict, always=True)
    row: dict[str, Any] = {"step": number + 1, "loss": loss, "grad_norm": norm, "verdict": verdict}

    def keep(event: str, **found: Any) -> None:
        row.update(found)

    if verdict == "ok":
        parts.optimizer.step()
        patient.gradients.balance()
    patient.looks.after(keep)
    return row


def _told(rows: list[dict[str, Any]], log: Log, begin: int) -> dict[str, Any]:
    loss = log.series["loss"]
    logged = dict(zip(loss.steps.tolist(), loss.values.tolist(), strict=True))
    pairs = [(row["loss"], logged[row["step"]]) for row in rows if row["step"] in logged]
    gaps = [abs(a - b) / max(abs(b), 1e-12) for a, b in pairs if math.isfinite(a) and math.isfinite(b)]
    odd = sum(math.isfinite(a) != math.isfinite(b) for a, b in pairs)
    worst = max(gaps, default=0.0)
    same = bool(pairs) and not odd and worst < 1e-3
    words = [f"steps {rows[0]['step']} to {rows[-1]['step']} taken again from step {begin}"]
    if not pairs:
        words.append("none of these steps is in the log")
    elif same:
        words.append(f"the losses are those of the log (largest difference {worst:.1g})")
    else:
        words.append(
            f"the losses are not those of the log (largest difference {worst:.2g}): what happened is no function of "
            "weights, data, seed and rate alone; compare a resume, a change of code or machine"
        )
    first = first_to_move(rows)
    if first is None:
        words.append("no layer leaves what it was")
    else:
        layer, quantity, step, times = first
        words.append(f"first to move: {layer}, its {NAMES[quantity]} at step {step}, {times:.3g} times the usual")
    told = dict(zip(("layer", "quantity", "step", "times"), first, strict=True)) if first else None
    return {"words": words, "from_step": begin, "steps": len(rows), "same": same if pairs else None, "first": told}


def first_to_move(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str, int, float] | None:
    """Layer, quantity, step and factor of the first value that is far above those before; of one step the farthest.

    Far: ln of the value more than 6 robust deviations, and at least ln 2, over the median of all steps before.
    """
    for place in range(4, len(rows)):
        far: list[tuple[float, str, str]] = []
        for quantity in NAMES:
            now = rows[place].get(quantity)
            before = [row[quantity] for row in rows[:place] if row.get(quantity) is not None]
            if now is None or len(before) < 4:
                continue
            for layer, value in enumerate(now):
                logs = np.log(np.maximum([each[layer] for each in before], 1e-30))
                middle = float(np.median(logs))
                spread = 1.4826 * float(np.median(np.abs(logs - middle)))
                gone = math.log(value) - middle if value > 0 and math.isfinite(value) else math.inf
                if value == 0:
                    continue
                if gone > max(6 * spread, math.log(2)):
                    far.append((gone, _layer(quantity, layer, len(now)), quantity))
        if far:
            gone, name, quantity = max(far)
            return name, quantity, int(rows[place]["step"]), math.exp(min(gone, 700.0))
    return None


def _layer(quantity: str, place: int, count: int) -> str:
    if quantity == "stream":
        return "the embedding" if place == 0 else f"block {place - 1}"
    if quantity in ("grad_norms", "updates") and place == count - 1:
        return "what is outside the blocks"
    return f"attention {place}" if quantity == "max_logit" else f"block {place}"
