"""Loop: steps, validations and checkpoints, from the first weights to the file of the last.

Everything random in a step is a function of (seed, fold, step), and all that a step reads is in the
checkpoint, so a training that was killed at any moment and started again gives the same weights as one
that was not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from delineate.errors import RunError
from delineate.planning.plan import Training
from delineate.preparation.patches import Batch
from delineate.space import LabelSchema
from delineate.training.accumulate import accumulated
from delineate.training.average import averaging, decay_at, follow
from delineate.training.checkpoint import (
    Basis,
    Checkpoint,
    State,
    Tensors,
    Window,
    optimizer_tensors,
    read_tensors,
    restore_optimizer,
    weights_of,
    write_tensors,
)
from delineate.training.freeze import Frozen
from delineate.training.history import Row, Validation, append, cut
from delineate.training.losses import Parts
from delineate.training.mining import Mined, Tally
from delineate.training.objective import Objective, Segmentation
from delineate.training.optimize import grouped, make_optimizer, set_rate
from delineate.training.pace import Stopwatch
from delineate.training.patience import Patience
from delineate.training.schedule import rate_at
from delineate.training.watch import Step
from delineate.training.world import World

if TYPE_CHECKING:
    from lightning_fabric.plugins.precision import Precision

CHECKPOINT, WEIGHTS, HISTORY = "checkpoint.safetensors", "weights.safetensors", "history.jsonl"
ROW_EVERY = 10  # steps per row of the history; on a GPU also between two looks at the loss

Supply = Callable[[int], AbstractContextManager[Iterator[Batch]]]  # opens the batches from a step on


@dataclass(frozen=True)
class Task:
    """What is to be learnt, and how.

    batch_dice  whether the overlap is taken over the batch as one image
    basis       JSON values: all that decides what the weights become; a checkpoint made on another
                basis is refused
    objective   what is lowered; None is the loss of the plan, for these labels
    """

    training: Training
    labels: LabelSchema
    batch_dice: bool = False
    fold: int = 0
    basis: Basis = field(default_factory=dict)
    spacing: tuple[float, ...] | None = None
    objective: Objective | None = None

    @property
    def lowered(self) -> Objective:
        """What is lowered."""
        return self.objective or Segmentation.of(
            self.training, self.labels, batch_dice=self.batch_dice, spacing=self.spacing
        )


def fit(
    network: nn.Module, batches: Supply | Mined, validation: Supply, task: Task, folder: Path, world: World
) -> Path:
    """The file of the trained weights, in `folder`; goes on where it was left.

    network     on the CPU, with its first weights; returns logits, or in `train()` a tuple of logits
                from finest to coarsest, or whatever the objective compares. Besides images it is given
                what a batch tells
    batches     opens the training batches from a step on; never runs out. Of `accumulate` batches, all
                samples come as one
    validation  opens the validation batches from the first; the same ones every time
    """
    weights = folder / WEIGHTS
    if weights.is_file():
        read_tensors(weights, task.basis)
        (folder / CHECKPOINT).unlink(missing_ok=True)  # killed just before it was cleared up
        return weights
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_undisturbed(world.device))
        run = _Run(network, batches, validation, task, folder, world)
        while not run.is_over:
            with run.supplied() as supply:
                run.advance(supply)
                while not (run.is_over or run.is_renewed):
                    run.advance(supply)
        return run.finish()


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """Torch's random generators are put back afterwards, and so is how cuDNN picks its kernels."""
    gpus = (
        [torch.cuda.current_device() if device.index is None else device.index]
        if device.type == "cuda"
        else []
    )
    with torch.random.fork_rng(devices=gpus), torch.backends.cudnn.flags(enabled=True, benchmark=True):
        yield


class _Run:
    """A training while it runs: the only thing here that changes."""

    def __init__(
        self,
        network: nn.Module,
        batches: Supply | Mined,
        validation: Supply,
        task: Task,
        folder: Path,
        world: World,
    ) -> None:
        training = task.training
        self.task, self.training, self.folder, self.world = task, training, folder, world
        self.batches, self.validation = batches, validation
        self.network = _placed(network, world.device)
        scaled = bool(self._scaler.state_dict())
        self.optimizer = make_optimizer(training, grouped(training, self.network), scaled=scaled)
        self.frozen = Frozen.of(training, self.network, alone=world.fabric.world_size == 1)
        self.average = averaging(self.network) if training.ema else None
        self.best: Tensors = {}
        self.objective = task.lowered.on(world.device)
        self.sums = torch.zeros(3, dtype=torch.float64, device=world.device)
        self.unread, self.unread_since_s = 0, 0.0
        self.state = self._first_state()
        self.elapsed = Stopwatch(world.clock, self._restored())
        self.module, self.stepper = world.fabric.setup(self.network, self.optimizer)
        self.tally: Tally | None = None
        if isinstance(batches, Mined):
            self.tally = Tally(batches.ids, world.device, self.state.found.sums)
        self.saved_s = self.state.elapsed_s
        if self.state.step == 0:
            self._start()

    @property
    def is_over(self) -> bool:
        """Whether the training has come to its end."""
        state = self.state
        tired = state.patience is not None and state.patience.is_over
        return tired or state.pace.is_over(self.training, state.step, state.elapsed_s)

    @property
    def is_renewed(self) -> bool:
        """Whether from here on other cases are drawn than those that are being made ahead."""
        return self.tally is not None and self.state.validated == self.state.step

    def supplied(self) -> AbstractContextManager[Iterator[Batch]]:
        """Opens the batches from here on."""
        if isinstance(self.batches, Mined):
            return self.batches.drawn(self.state.step, self.state.found.hardness)
        return self.batches(self.state.step)

    def advance(self, supply: Iterator[Batch]) -> None:
        """One step, and what is due after it."""
        began = self.elapsed()
        batch = next(supply)
        waited = self.elapsed() - began
        progress = self.state.pace.progress(self.training, self.state.step, began)
        rate = rate_at(self.training, progress)
        self._learn(batch, rate, progress)
        ended = self.elapsed()
        if self.unread == 0:
            self.unread_since_s = began
        self.unread += 1
        window = self.state.window
        self.state = self.state.but(
            step=self.state.step + 1,
            progress=progress,
            elapsed_s=ended,
            window=window.but(waited_s=window.waited_s + waited, lasted_s=window.lasted_s + ended - began),
        )
        if self._is_read_now:
            self._read(rate)

    def finish(self) -> Path:
        """Writes the weights that were worth most, and clears up."""
        path = self.folder / WEIGHTS
        if self.world.leads:
            patience = self.state.patience
            chosen = patience.best_step if patience and self.best else self.state.step
            facts = {"steps": self.state.step, "weights_of_step": chosen}
            texts = {"basis": json.dumps(self.task.basis, sort_keys=True), "facts": json.dumps(facts)}
            write_tensors(path, self.best or weights_of(self._judged), texts)
            (self.folder / CHECKPOINT).unlink(missing_ok=True)
        self.world.fabric.barrier()
        return path

    @property
    def _judged(self) -> nn.Module:
        """What is validated and given away: the average of the weights where there is one."""
        return self.average if self.average is not None else self.network

    @property
    def _scaler(self) -> Precision:
        """What keeps the loss scale of fp16, and nothing otherwise."""
        return self.world.fabric.strategy.precision

    def _first_state(self) -> State:
        limit = self.training.patience
        return State(patience=None if limit is None else Patience(limit=limit))

    def _restored(self) -> float:
        """Puts everything back as it was at the checkpoint, if there is one; its elapsed seconds."""
        path, fabric = self.folder / CHECKPOINT, self.world.fabric
        found = Checkpoint.load(path, self.task.basis) if path.is_file() else None
        if found is not None and found.state.step > 0:
            self.state = found.state
            self.network.load_state_dict(found.weights)
            restore_optimizer(self.optimizer, found.optimizer)
            if self.average is not None:
                self.average.load_state_dict(found.average)
            self.best = found.best
            self._scaler.load_state_dict(found.state.scaler)
        fabric.barrier()  # all have read before the first writes
        if self.world.leads:
            cut(self.folder / HISTORY, self.state.step)
        return self.state.elapsed_s

    def _start(self) -> None:
        """The checkpoint before the first step: shows that there is room, and how long writing takes."""
        began = self.elapsed()
        self._save()
        ended = self.elapsed()
        self.state = self.state.but(elapsed_s=ended, pace=self.state.pace.but(save_s=ended - began))
        self.saved_s = ended

    def _learn(self, batch: Batch, rate: float, progress: float) -> None:
        self.module.train()
        self.frozen.set(progress)
        set_rate(self.optimizer, rate)
        labels = batch.labels.to(self.world.device)
        parts, outputs = self._graded(batch, labels)
        self.frozen.drop(progress)
        fabric = self.world.fabric
        fabric.clip_gradients(
            self.module, self.stepper, max_norm=self.training.clip, error_if_nonfinite=False
        )
        self.stepper.step()
        self.stepper.zero_grad()
        self.sums += torch.stack([parts.total, parts.region, parts.voxel]).detach()
        if self.average is not None:
            follow(self.average, self.network, decay_at(self.state.step, self.training.ema))
        if self.tally is not None:
            self.tally.add(batch, self.objective.hardness(outputs, labels), self.world.total)

    def _graded(self, batch: Batch, labels: Tensor) -> tuple[Parts, Any]:
        """The loss of a batch and its finest logits; the weights have its gradient afterwards.

        What a network gives that is no logits comes back as it is.
        """
        world, count = self.world, self.training.accumulate
        placed = [_placed_images(part, world.device) for part in batch.images.tensor_split(count)]

        def loss(logits: Tensor | Sequence[Tensor]) -> Parts:
            return self.objective(logits, labels, world.total)

        if len(placed) > 1:
            return accumulated(self.module, placed, loss, self._seed, world.fabric)
        self._seed()
        outputs = self.module(placed[0], *_told(batch, world.device))
        parts = loss(outputs)
        world.fabric.backward(parts.total)
        return parts, _finest(outputs)

    def _seed(self, part: int = 0) -> None:
        """Makes what the network itself draws (dropout) a function of the step."""
        origin = [self.training.seed, self.task.fold, self.state.step, self.world.rank]
        origin += [part] if part else []
        torch.manual_seed(int(np.random.SeedSequence(origin).generate_state(1)[0]))

    @property
    def _is_row_due(self) -> bool:
        return self.state.step % ROW_EVERY == 0 or self._is_validation_due

    @property
    def _is_validation_due(self) -> bool:
        return self.state.step % self.training.validate_every == 0 or self.is_over

    @property
    def _is_save_due(self) -> bool:
        return self.state.elapsed_s - self.saved_s >= self.world.save_every_s or self._is_validation_due

    @property
    def _is_read_now(self) -> bool:
        """On a GPU looking at the loss makes it wait, so this is done now and then."""
        if self.world.device.type == "cpu" or self._is_row_due or self._is_save_due:
            return True
        state = self.state
        left = state.pace.remaining_s(self.training, state.step, state.elapsed_s)
        return left < 2 * ROW_EVERY * state.pace.next_step_s

    def _read(self, rate: float) -> None:
        """Looks at the steps since the last look, and does what is due: validation, row, checkpoint."""
        loss = self._losses_read()
        validation = None
        row, save = self._is_row_due, self._is_save_due
        if self._is_validation_due:
            validation = self._validate()
        if row:
            self._write_row(rate, validation)
        if save:
            self._save()
        state = self.state
        if self.world.leads:
            remaining = state.pace.remaining_s(self.training, state.step, state.elapsed_s)
            done = state.pace.progress(self.training, state.step, state.elapsed_s)
            self.world.watch(Step(state.step, done, state.elapsed_s, remaining, loss, rate, validation))

    def _losses_read(self) -> float:
        """The mean loss of the steps since the last look, which must be a number."""
        loss, region, voxel = self.sums.tolist()
        if not math.isfinite(loss):
            raise self._diverged("training loss", loss)
        state = self.state
        window = state.window.but(
            steps=state.window.steps + self.unread,
            loss=state.window.loss + loss,
            region=state.window.region + region,
            voxel=state.window.voxel + voxel,
        )
        seconds = (state.elapsed_s - self.unread_since_s) / self.unread
        self.state = state.but(window=window, pace=state.pace.stepped(seconds))
        mean = loss / self.unread
        self.sums.zero_()
        self.unread = 0
        return float(mean)

    def _validate(self) -> Validation:
        began = self.elapsed()
        loss, counts, batches = self._validated(began)
        result = Validation(loss=loss, dice=self.objective.figures(counts))
        if not math.isfinite(loss):
            raise self._diverged("validation loss", loss)
        self._renew()
        ended, state = self.elapsed(), self.state
        patience = state.patience.after(loss, state.step) if state.patience else None
        if patience is not None and patience.best_step == state.step:
            self.best = {name: tensor.cpu().clone() for name, tensor in weights_of(self._judged).items()}
        self.state = state.but(
            elapsed_s=ended,
            validated=state.step,
            validation_batches=batches,
            patience=patience,
            pace=state.pace.but(validation_s=ended - began),
        )
        return result

    def _renew(self) -> None:
        """What was seen of the cases decides from here on which are drawn."""
        if self.tally is not None:
            found = self.state.found.but(sums=self.tally.read()).renewed()
            self.state = self.state.but(found=found)
            self.tally.clear()

    @torch.no_grad()
    def _validated(self, began: float) -> tuple[float, Tensor, int]:
        """Mean loss, the sums that figures are made of, and the number of batches.

        Within a budget of minutes the first validation has a limit; what it manages is the number of
        batches from then on.
        """
        wanted = self.state.validation_batches or self.training.validation_batches
        limit = self.state.pace.validation_limit_s(self.training, began)
        timed = self.state.validation_batches is None and math.isfinite(limit)
        loss = torch.zeros((), dtype=torch.float64, device=self.world.device)
        counts = torch.zeros((), dtype=torch.int64, device=loss.device)
        done = 0
        self._judged.eval()
        with self.validation(0) as supply:
            for batch in supply:
                parts, found = self._judge(batch)
                loss += parts.total
                counts = counts + found
                done += 1
                if done == wanted or (timed and self._took(loss, began) * (1 + 1 / done) > limit):
                    break
        together = self.world.fabric.all_reduce(counts, reduce_op="sum")
        return float(loss) / done, torch.as_tensor(together), done

    def _took(self, loss: Tensor, began: float) -> float:
        """Seconds until a loss was there, which a GPU is made to finish."""
        loss.item()
        return self.elapsed() - began

    def _judge(self, batch: Batch) -> tuple[Parts, Tensor]:
        device = self.world.device
        with self.world.fabric.autocast():
            outputs = self._judged(_placed_images(batch.images, device), *_told(batch, device))
        labels = batch.labels.to(device)
        return self.objective(outputs, labels, self.world.total), self.objective.counted(outputs, labels)

    def _write_row(self, rate: float, validation: Validation | None) -> None:
        state = self.state
        window = state.window
        self.state = state.but(window=Window())
        if not self.world.leads:
            return
        row = Row(
            step=state.step,
            progress=state.progress,
            elapsed_s=state.elapsed_s,
            rate=rate,
            loss=window.loss / window.steps,
            region=window.region / window.steps,
            voxel=window.voxel / window.steps,
            waited=window.waited_s / window.lasted_s if window.lasted_s > 0 else 0.0,
            validation=validation,
            hardness=state.found.hardness if self.tally is not None and validation else None,
        )
        append(self.folder / HISTORY, row)

    def _save(self) -> None:
        self.saved_s = self.state.elapsed_s
        self.state = self.state.but(scaler=self._scaler.state_dict())
        if self.tally is not None:
            self.state = self.state.but(found=self.state.found.but(sums=self.tally.read()))
        if not self.world.leads:
            return
        moment = Checkpoint(
            self.state,
            weights_of(self.network),
            optimizer_tensors(self.optimizer),
            weights_of(self.average) if self.average is not None else {},
            self.best,
        )
        moment.save(self.folder / CHECKPOINT, self.task.basis)

    def _diverged(self, what: str, value: float) -> RunError:
        return RunError(
            f"{self.folder}: the {what} became {value} before step {self.state.step} "
            f"(learning rate {self.training.learning_rate:g}, precision {self.training.precision}). "
            f"The last good checkpoint is kept beside it. Usual ways out: a tenth of the "
            f"training.learning_rate, training.precision fp32, or `delineate check` for images that hold "
            f"NaN. Change the plan, delete {self.folder} and train this fold again."
        )


def _placed(network: nn.Module, device: torch.device) -> nn.Module:
    """The network on its device; on a GPU channels come last in memory, as its kernels like them."""
    network = network.to(device)
    if device.type == "cuda":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network = network.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
    return network


def _placed_images(images: Tensor, device: torch.device) -> Tensor:
    if device.type != "cuda":
        return images.to(device)
    layout = torch.channels_last_3d if images.ndim == 5 else torch.channels_last
    return images.to(device, memory_format=layout)


def _told(batch: Batch, device: torch.device) -> tuple[Tensor, ...]:
    return tuple(tensor.to(device) for tensor in batch.told)


def _finest(outputs: Any) -> Any:
    """The finest logits, without their gradient; what is no logits as it is."""
    first = outputs if isinstance(outputs, Tensor) else outputs[0]
    return first.detach() if isinstance(first, Tensor) else outputs
