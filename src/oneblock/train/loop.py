"""The training loop: steps, and between them looking up: evaluate, keep the best, sample, save."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from oneblock.config.config import Config
from oneblock.config.errors import OneblockError
from oneblock.runs.checkpoint import load_checkpoint, prune, save_checkpoint
from oneblock.runs.folder import Run
from oneblock.runs.metrics import MetricsLog
from oneblock.runs.weights import save_weights
from oneblock.train import horizon as horizons
from oneblock.train import schedule
from oneblock.train.clip import clip_gradients
from oneblock.train.layout import Layout
from oneblock.train.look import Looks
from oneblock.train.seeds import step_seed
from oneblock.train.sharding import gathered
from oneblock.train.state import Kept, Training
from oneblock.train.step import Gradients
from oneblock.train.tasks.task import Task, on_device

KEPT = "kept"
WARM_STEPS, MEASURED_STEPS = 5, 15
"""Under `minutes`: steps before, and steps in, the measurement of a step's length."""

Event = Mapping[str, Any]
Listener = Callable[[Event], None]
Stop = Callable[[], bool]


class Loop:
    """Trains `parts.model` to the end of its horizon, or until `stop()` says so, which saves first.

    Everything a person wants to know leaves as events: to `metrics.jsonl` and to `listen`.
    """

    def __init__(
        self,
        config: Config,
        task: Task,
        run: Run,
        parts: Training,
        gradients: Gradients,
        layout: Layout,
        *,
        listen: Listener = lambda event: None,
        stop: Stop = lambda: False,
        sample: Callable[[], str] | None = None,
    ) -> None:
        self.recipe, self.task, self.run, self.parts = config.recipe, task, run, parts
        self.gradients, self.listen, self.stop, self.sample = gradients, listen, stop, sample
        self.layout, self.processes = layout, layout.processes
        self.looks = Looks(gradients, layout, parts.optimizer, config.recipe.clip)
        self.log = MetricsLog(run.path / "metrics.jsonl")
        self.device = gradients.device
        self.started = time.perf_counter()
        self.before = parts.count.seconds
        self.steps_timed: list[float] = []

    @property
    def seconds(self) -> float:
        """Seconds of training, earlier sittings included."""
        return self.before + time.perf_counter() - self.started

    def tell(self, event: str, **values: Any) -> None:
        """One event, to the log and to whoever listens."""
        if not self.processes.first:
            return
        line = {"event": event, "step": self.parts.count.step, "seconds": round(self.seconds, 3), **values}
        self.log.append(line)
        self.listen(line)

    def go(self) -> bool:
        """Train; True when the horizon was reached, False when stopped before."""
        if self.parts.count.step == 0:
            self.save()
        for moved in self._steps():
            if moved:
                self._look_up()
            if self.processes.any(self.stop()):
                self.save()
                self.tell("stopped")
                return False
        if self.parts.count.kept is None:
            self.evaluate()
        return True

    def _steps(self) -> Iterator[bool]:
        """Step after step; whether it went on, or back."""
        while self.parts.horizon is None or self.parts.count.step < self.parts.horizon.steps:
            began = time.perf_counter()
            moved = self._step()
            self.steps_timed.append(time.perf_counter() - began)
            if self.parts.horizon is None and len(self.steps_timed) == WARM_STEPS + MEASURED_STEPS:
                self._measure_horizon()
            yield moved

    def _step(self) -> bool:
        parts, count, recipe = self.parts, self.parts.count, self.recipe
        total = parts.horizon.steps if parts.horizon else 10**9
        factor = schedule.factor(recipe.schedule, count.step, total)
        parts.optimizer.set_lr_factor(factor)
        batch = self.batch(count.step)
        parts.optimizer.zero_grad()
        began = time.perf_counter()
        loss = float(self.gradients(*batch, step=count.step))
        if not self.steps_timed:
            count.compile_seconds += time.perf_counter() - began
        grad_norm = float(clip_gradients(parts.optimizer.parameters(), recipe.clip or float("inf")))
        verdict = parts.guard.verdict(loss, grad_norm) if recipe.guard else "ok"
        self.looks.before(count.step, batch, grad_norm, verdict)
        if verdict == "rollback":
            self._roll_back()
            return False
        count.step += 1
        if verdict == "skip":
            self.tell("skip", reason=parts.guard.reason, loss=loss, grad_norm=grad_norm)
            self.looks.after(self.tell)
            return True
        parts.optimizer.step()
        self.gradients.balance()
        if parts.average is not None:
            parts.average.update()
        count.tokens += self.task.tokens_a_step
        count.seconds = self.seconds
        self.tell("step", loss=loss, grad_norm=grad_norm, rate_factor=factor, tokens=count.tokens)
        self.looks.after(self.tell)
        return True

    def _tell_experts(self) -> None:
        """Load, drops and the router's entropy of every mixture, of the last batch's last piece."""
        records = self.gradients.records
        if records:
            told = {name: value.tolist() for name, value in records[-1].statistics().items()}
            self.tell("experts", layers=told)

    def batch(self, step: int) -> tuple[torch.Tensor, ...]:
        """This process's rows of a step's batch.

        After a rollback examples come in another order, so as not to meet the same spike.
        """
        seed = step_seed(self.recipe.seed, self.parts.guard.rollbacks)
        whole = on_device(self.task.batch(step, seed, whole=self.refitting(step)), self.device)
        return self.processes.share(whole)

    def refitting(self, step: int) -> bool:
        """Whether a step is one of the last ones, which learn the held-out end too (`recipe.refit`)."""
        horizon = self.parts.horizon
        # Before the horizon is measured, only a refit from the first step on is known to have begun.
        return self.recipe.refit == 1 or (horizon is not None and step >= horizon.steps * (1 - self.recipe.refit))

    def _roll_back(self) -> None:
        reason, rollbacks = self.parts.guard.reason, self.parts.guard.rollbacks
        checkpoint = load_checkpoint(self.run.path)
        self.parts.roll_back(checkpoint)
        self.tell("rollback", reason=reason, to_step=checkpoint.step, rollbacks=rollbacks)
        # A loss that is only high has by then been accepted as the new level; this one is not even finite.
        if rollbacks > self.parts.guard.max_rollbacks:
            raise Diverged(
                f"{reason}; the run went back {rollbacks} times and does not get past it. It stands at step "
                f"{checkpoint.step}, its last checkpoint. {Diverged.remedy}"
            )

    def _measure_horizon(self) -> None:
        assert self.recipe.minutes is not None
        # The median: one step of a new shape may have waited for the compiler.
        step_seconds = statistics.median(self.steps_timed[WARM_STEPS:])
        began = time.perf_counter()
        self.loss_on("selection")
        selection, validation = self.task.size("selection"), self.task.size("validation")
        one_pass = (time.perf_counter() - began) / max(selection, 1)
        held_out = (2 if self.parts.average else 1) * selection + validation
        horizon = horizons.of_time(
            self.recipe,
            done=self.parts.count.step,
            remaining=60 * self.recipe.minutes - self.seconds,
            step_seconds=step_seconds,
            evaluation_seconds=held_out * one_pass,
            # At the end: once more both, and an excerpt of the training split, in full precision.
            last_seconds=(held_out + 3 * 3 * validation) * one_pass + self.task.measures_cost() * step_seconds,
        )
        # The clocks of several processes differ.
        self.parts.horizon = self.processes.agree(horizon)
        self.tell("horizon", step_seconds=step_seconds, **self.parts.horizon.to_dict())
        self.save()

    def _look_up(self) -> None:
        horizon, step = self.parts.horizon, self.parts.count.step
        if horizon is None or step == 0:
            return
        last = step >= horizon.steps
        if step % horizon.evaluate_every == 0 or last:
            self._tell_experts()
            self.evaluate()
        if self.sample is not None and (step % horizon.sample_every == 0 or last):
            self.tell("sample", text=self._sampled(self.sample))
        if step % horizon.checkpoint_every == 0 or last:
            self.save()

    def _sampled(self, sample: Callable[[], str]) -> str:
        try:
            return sample()
        except OneblockError as error:
            # Weights that are NaN write no text; that must not end a run that was told to go on.
            return f"(no text: {error})"

    def evaluate(self) -> None:
        """Both sets of weights on the selection split; the better ones on the whole validation split, kept if best."""
        parts, count = self.parts, self.parts.count
        if self.refitting(count.step - 1):
            self._evaluate_refit()
            return
        losses = {False: self.loss_on("selection")}
        if parts.average is not None:
            with parts.average.swap():
                losses[True] = self.loss_on("selection")
        averaged = min(losses, key=lambda kind: losses[kind] if losses[kind] == losses[kind] else float("inf"))
        with self.weights(averaged):
            val_loss = self.loss_on("validation")
            found = Kept(step=count.step, averaged=averaged, selection_loss=losses[averaged], val_loss=val_loss)
            # After a crash the steps since the checkpoint come once more, and what they kept is on the disk already.
            best = found == count.kept
            if losses[averaged] < (count.kept.selection_loss if count.kept else float("inf")):
                best, count.kept = True, found
                self._keep(count.kept)
        self.tell(
            "evaluate",
            selection_loss=losses[False],
            averaged_selection_loss=losses.get(True),
            averaged=averaged,
            val_loss=val_loss,
            kept=best,
        )

    def _evaluate_refit(self) -> None:
        """Nothing is held out any more: the kind of weights found better before is followed, and the last ones kept."""
        parts, count = self.parts, self.parts.count
        averaged = count.kept.averaged if count.kept else parts.average is not None
        last = parts.horizon is not None and count.step >= parts.horizon.steps
        with self.weights(averaged):
            val_loss = self.loss_on("validation")
            # Weights that are no numbers do not take the place of those kept before the refit.
            last = last and math.isfinite(val_loss)
            if last:
                before = count.kept.selection_loss if count.kept else float("inf")
                count.kept = Kept(step=count.step, averaged=averaged, selection_loss=before, val_loss=val_loss)
                self._keep(count.kept)
        self.tell(
            "evaluate",
            selection_loss=None,
            averaged_selection_loss=None,
            averaged=averaged,
            val_loss=val_loss,
            kept=last,
        )

    def _keep(self, kept: Kept) -> None:
        weights = gathered(self.parts.model.state_dict(), keep=self.processes.first)
        self.processes.first_does(lambda: save_weights(self.run.path, KEPT, weights, vars(kept)))

    def weights(self, averaged: bool) -> Any:
        """The averaged weights in the model's place for a `with`, or the plain ones as they are."""
        if averaged:
            assert self.parts.average is not None
            return self.parts.average.swap()
        return torch.no_grad()

    def loss_on(self, split: str, precision: torch.dtype | None = None) -> float:
        """The task's mean loss of the weights now in the model, over a split."""
        with self.layout.whole() as model:
            return self.task.loss_on(model, split, precision or self.gradients.precision)

    def save(self) -> None:
        """A checkpoint of this step; the two newest stay."""
        self.parts.count.seconds = self.seconds
        tensors, step = gathered(self.parts.tensors(), keep=self.processes.first), self.parts.count.step

        def write() -> None:
            self.log.sync()
            save_checkpoint(self.run.path, step, tensors, self.parts.scalars())
            prune(self.run.path, keep=2)

        self.processes.first_does(write)


class Diverged(RuntimeError):
    """Training does not recover by itself."""

    remedy = "Lower the learning rate (--set recipe.optimizer.learning_rate=…), or see what happens with --no-guard."
