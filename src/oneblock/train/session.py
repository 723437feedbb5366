"""A training from its configuration to its result: data, model, run folder, loop, last evaluation, report."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oneblock.config.config import Config
from oneblock.config.encoder_decoder import EncoderDecoder
from oneblock.config.errors import ConfigError
from oneblock.config.expert_rules import check_over_processes
from oneblock.config.objective import NotTrained
from oneblock.config.serial import config_from_dict, diff, to_dict
from oneblock.inspect.statistics import flops_per_token
from oneblock.machine.allocator import keep_memory
from oneblock.machine.device import describe, pick_device
from oneblock.machine.peak import matrix_peak
from oneblock.machine.precision import pick_precision
from oneblock.models.build import build
from oneblock.runs.checkpoint import load_checkpoint, sweep
from oneblock.runs.errors import RunError
from oneblock.runs.folder import Run
from oneblock.runs.weights import load_weights
from oneblock.train import horizon as horizons
from oneblock.train.average import WeightAverage
from oneblock.train.guard import SpikeGuard
from oneblock.train.layout import Layout
from oneblock.train.loop import KEPT, Diverged, Listener, Loop, Stop
from oneblock.train.optimizer import make_optimizer
from oneblock.train.processes import ALONE, Processes
from oneblock.train.report import write_report
from oneblock.train.state import Kept, Training
from oneblock.train.step import Gradients, compile_wanted
from oneblock.train.tasks import TASKS, Task

MAY_CHANGE = ("recipe.steps", "recipe.minutes", "recipe.distribution")


def start(config: Config, out: Path | None, processes: Processes = ALONE) -> tuple[Config, Task, Run]:
    """A new run: its data read, its folder made, its configuration (with what the data decides) written."""

    def begin() -> tuple[Config, Task]:
        _check(config, processes)
        return TASKS[type(config.recipe.objective)].begin(config)

    fitted, task = processes.each_does(begin)

    def make() -> Path:
        run = Run.create(out, fitted.name)
        for name, content in task.files.items():
            run.write_json(name, content)
        run.write_json("config.json", to_dict(fitted))
        return run.path

    return fitted, task, Run(processes.first_does(make))


def reopen(run: Run, wanted: Callable[[Config], Config], processes: Processes = ALONE) -> tuple[Config, Task, Run]:
    """A run that was begun, with the same data. `wanted` applies what was asked for: how long, and who holds what."""

    def begun() -> tuple[Config, Task]:
        config = config_from_dict(run.read_json("config.json"))
        asked = wanted(config)
        changed = [path for path in diff(config, asked) if not path.startswith(MAY_CHANGE)]
        if changed:
            raise RunError(
                f"--resume goes on as the run began, and {', '.join(changed)} would differ; "
                "leave that out, or start a new run with another --out"
            )
        _check(asked, processes)
        return asked, TASKS[type(config.recipe.objective)].reopen(config, run)

    return *processes.each_does(begun), run


def _check(config: Config, processes: Processes) -> None:
    """Raise ConfigError for what nobody, or not so many processes, can train."""
    if isinstance(config.recipe.objective, NotTrained):
        kinds = "a decoder, an encoder, an encoder_decoder or a dit"
        raise ConfigError("model", type(config.model).__name__, f"is of a kind that is not trained here; train {kinds}")
    option, model = config.recipe.distribution, config.model
    stacks = (model.encoder, model.decoder) if isinstance(model, EncoderDecoder) else (model,)
    mixed = any(block.mixture for stack in stacks for block in stack.blocks)
    if option.experts == "sharded" and not mixed:
        rule = "needs a model with experts"
        raise ConfigError(
            "recipe.distribution.experts", option.experts, rule, ("replicated", "block.feed_forward=top_k")
        )
    check_over_processes(config, processes.world, sharded=option.experts == "sharded")
    if config.recipe.compile == "on" and processes.world > 1 and "sharded" in (option.parameters, option.experts):
        rule = "is not for processes that share parameters or experts out"
        raise ConfigError("recipe.compile", "on", rule, ("auto", "off"))


class Session:
    """Everything one training needs, ready to `train()`. make: the model, where it is not what `build` gives."""

    def __init__(
        self,
        config: Config,
        task: Task,
        run: Run,
        *,
        resume: bool = False,
        device: str = "auto",
        listen: Listener = lambda event: None,
        stop: Stop = lambda: False,
        command: str = "",
        processes: Processes = ALONE,
        make: Callable[[Config], nn.Module] | None = None,
    ) -> None:
        keep_memory()
        self.config, self.task, self.run, self.command = config, task, run, command
        self.listen, self.processes = listen, processes
        self.device = pick_device(device)
        self.precision = pick_precision(config.recipe.precision, self.device)
        made = make(config) if make is not None else build(config, seed=config.recipe.seed)
        self.model = made.to(self.device)
        recipe = config.recipe
        self.layout = Layout(self.model, recipe.distribution, processes, self.precision)
        self.parts = self._parts()
        self.gradients = Gradients(
            self.model,
            precision=self.precision,
            accumulation=recipe.accumulation,
            input_noise=recipe.input_noise,
            seed=recipe.seed,
            loss=task.loss,
            num_targets=task.num_targets,
            layout=self.layout,
        )
        self.loop = Loop(
            config,
            task,
            run,
            self.parts,
            self.gradients,
            self.layout,
            listen=listen,
            stop=stop,
            sample=self._sample,
        )
        if resume:
            self._resume()
        self.compiled = self.layout.whole_everywhere and compile_wanted(recipe, self.device)

    def _parts(self) -> Training:
        recipe = self.config.recipe
        average = WeightAverage(self.model.named_parameters(), recipe.average) if recipe.average else None
        horizon = horizons.of_steps(recipe, recipe.steps) if recipe.steps is not None else None
        return Training(self.model, make_optimizer(self.model, recipe.optimizer), average, SpikeGuard(), horizon)

    def _resume(self) -> None:
        if self.processes.first:
            sweep(self.run.path)
        before = config_from_dict(self.run.read_json("config.json")).recipe
        self.processes.meet()
        if self.config.recipe != before and self.processes.first:
            # Else the next --resume would go back to the old length.
            self.run.write_json("config.json", to_dict(self.config))
        if not any((self.run.path / "checkpoints").glob("step-*")):
            # Ended before its first checkpoint: the weights of step 0 are the seed's.
            self._rewind(0)
            self.loop.tell("resume", from_step=0, skipped=[])
            return
        checkpoint = load_checkpoint(self.run.path)
        self.parts.load(checkpoint)
        self.parts.count.kept = self._kept()
        self.loop.before = self.parts.count.seconds
        self._rewind(checkpoint.step)
        recipe, horizon = self.config.recipe, self.parts.horizon
        if recipe.steps is not None and (horizon is None or recipe.steps != horizon.steps):
            self.parts.horizon = horizons.of_steps(recipe, recipe.steps)
        elif recipe.minutes != before.minutes:
            self.parts.horizon = None
        if self.parts.horizon != horizon:
            self.loop.save()
        skipped = [f"{path.name}: {reason}" for path, reason in checkpoint.skipped]
        self.loop.tell("resume", from_step=checkpoint.step, skipped=skipped)

    def _rewind(self, step: int) -> None:
        if self.processes.first:
            self.loop.log.rewind(step)

    def _kept(self) -> Kept | None:
        """What is on the disk: after a crash, weights younger than the checkpoint; damaged ones count as none."""
        try:
            return Kept(**load_weights(self.run.path, KEPT)[1])
        except RunError:
            return None

    def train(self) -> dict[str, Any]:
        """Train to the end, or to a stop, and give the result; also written as `result.json` and `report.html`."""
        recipe, count = self.config.recipe, self.parts.count
        flops = flops_per_token(self.config.model)
        peak = matrix_peak(self.precision, self.device)
        parameters = sum(p.numel() for p in self.model.parameters())
        if self.compiled:
            self.compiled = self.gradients.compile(*self.loop.batch(count.step), tell=self.loop.tell)
            count.compile_seconds += self.gradients.compile_seconds
        self.loop.tell(
            "start",
            name=self.config.name,
            parameters=parameters,
            tokens_a_step=self.task.tokens_a_step,
            flops_per_token=flops,
            peak_flops=peak,
            precision=str(self.precision).removeprefix("torch."),
            compiled=self.compiled,
            machine=describe(),
            data=self.task.origin,
            horizon=self.parts.horizon.to_dict() if self.parts.horizon else None,
            minutes=recipe.minutes,
            run=str(self.run.path),
            command=self.command,
        )
        diverged = None
        try:
            finished = self.loop.go()
        except Diverged as error:
            finished, diverged = False, str(error)
        result = self._result(finished, parameters, flops / peak) | {"diverged": diverged}
        self.loop.tell("end", **result)
        if self.processes.first:
            self.run.write_json("result.json", result)
            self.loop.log.close()
            write_report(self.run, self.config)
        return result

    def _result(self, finished: bool, parameters: int, share_per_rate: float) -> dict[str, Any]:
        loop, count = self.loop, self.parts.count
        kept = count.kept
        losses: dict[str, float | None] = dict.fromkeys(("val_loss", "final_val_loss", "train_loss"))
        measures: dict[str, float | None] = dict.fromkeys(self.task.measure_names)
        if finished and kept is not None:
            losses["final_val_loss"] = loop.loss_on("validation")
            final = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
            self.layout.load(load_weights(self.run.path, KEPT)[0])
            losses["val_loss"] = loop.loss_on("validation", torch.float32)
            losses["train_loss"] = loop.loss_on("train")
            with self.layout.whole() as model:
                measures |= self.task.measures(model)
            self.layout.load(final)
        rate = self._tokens_per_second()
        return {
            **losses,
            **measures,
            "val_perplexity": _exp(losses["val_loss"]) if self.task.has_perplexity else None,
            "train_perplexity": _exp(losses["train_loss"]) if self.task.has_perplexity else None,
            "kept_step": kept.step if kept else None,
            "kept_weights": ("averaged" if kept.averaged else "plain") if kept else None,
            "selection_loss": kept.selection_loss if kept and math.isfinite(kept.selection_loss) else None,
            "tokens_per_second": rate,
            "peak_share": rate * share_per_rate if rate else None,
            "tokens": count.tokens,
            "steps": count.step,
            "seconds": loop.seconds,
            "compile_seconds": count.compile_seconds,
            "parameters": parameters,
            "data_sha256": self.task.sha256,
            "finished": finished,
            "run": str(self.run.path),
        }

    def _tokens_per_second(self) -> float | None:
        """Of this sitting's steps; the first, which waits for caches and compilers, is left out."""
        timed = self.loop.steps_timed[1:] or self.loop.steps_timed
        return len(timed) * self.task.tokens_a_step / sum(timed) if timed else None

    def _sample(self) -> str:
        """What the better weights make."""
        kept = self.parts.count.kept
        with self.loop.weights(kept.averaged if kept else False), self.layout.whole() as model:
            return self.task.sample(model)


def _exp(loss: float | None) -> float | None:
    return math.exp(min(loss, 700.0)) if loss is not None else None
