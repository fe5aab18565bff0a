"""A tiny network and synthetic batches: what the tests of training learn on. Also run as a program.

python tiny.py FOLDER '{"steps": 20, ...}'   trains in FOLDER; the options are those of `Options`
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn

from delineate.networks import device_of
from delineate.planning.plan import Training
from delineate.preparation.patches import Batch
from delineate.space import LabelSchema
from delineate.training.loop import Task, fit
from delineate.training.precision import mode_of
from delineate.training.world import World

SCHEMA = LabelSchema.of("ball", "shell")
EDGE = 12


class Tiny(nn.Module):
    """Two levels, two outputs in training; some dropout, so that chance is part of it."""

    def __init__(self, features: int = 6, outputs: int = 3, dropout: float = 0.2) -> None:
        super().__init__()
        self.fine = nn.Conv2d(1, features, 3, padding=1)
        self.coarse = nn.Conv2d(features, features, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(features, features, 2, stride=2)
        self.last = nn.Conv2d(2 * features, features, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Conv2d(features, outputs, 1)
        self.coarse_head = nn.Conv2d(features, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, ...]:
        fine = torch.relu(self.fine(x))
        coarse = self.dropout(torch.relu(self.coarse(fine)))
        joined = torch.relu(self.last(torch.cat([fine, self.up(coarse)], 1)))
        if not self.training:
            return self.head(joined)
        return self.head(joined), self.coarse_head(coarse)


def network(seed: int = 0, **how: float) -> Tiny:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Tiny(**how)


def sample(origin: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """A noisy ball in a shell: (1, *edges) and (*edges)."""
    rng = np.random.default_rng(origin)
    grid = np.indices((EDGE, EDGE)) - rng.uniform(4, EDGE - 5, (2, 1, 1))
    distance = np.sqrt((grid**2).sum(0))
    labels = np.where(distance < 2.2, 1, np.where(distance < 3.8, 2, 0))
    image = np.array([0.0, 2.0, 1.0])[labels] + rng.normal(0, 0.2, labels.shape)
    return torch.from_numpy(image.astype(np.float32))[None], torch.from_numpy(labels)


@dataclass(frozen=True)
class Balls:
    """Batches of balls, a function of their number; `share` as in preparation."""

    seed: int = 0
    size: int = 4
    share: tuple[int, int] = (0, 1)
    same: bool = False  # the same batch at every step
    broken_at: int | None = None  # a step whose images are NaN

    def batch(self, step: int) -> Batch:
        rank, processes = self.share
        samples = [
            sample((self.seed, 0 if self.same else step, n)) for n in range(rank, self.size, processes)
        ]
        images, labels = (torch.stack(parts) for parts in zip(*samples, strict=True))
        return Batch(images * torch.nan if step == self.broken_at else images, labels, ())

    def __call__(self, step: int):
        return nullcontext(self.batch(n) for n in itertools.count(step))


@dataclass
class Ticking:
    """A clock that goes on by a fixed amount whenever it is read."""

    tick: float = 1.0
    now: float = 0.0

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


def training(**changes: object) -> Training:
    settings = {
        "optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 1e-3, "schedule": "poly", "steps": 20,
        "validate_every": 7, "validation_batches": 3, "precision": "fp32",
    }  # fmt: skip
    if "minutes" in changes:
        settings["steps"] = None
    return Training.model_validate(settings | changes)


@dataclass(frozen=True)
class Options:
    """What to train, for the program."""

    training: dict = field(default_factory=dict)
    tick: float | None = None
    save_every_s: float = 0.0
    pause_s: float = 0.0  # per step, so that there is time to be killed in
    devices: int = 1
    batch_dice: bool = False
    size: int = 4
    dropout: float = 0.2


@dataclass(frozen=True)
class Work:
    """A training as a value that other processes can be given."""

    folder: Path
    options: Options

    def __call__(self, world: World) -> Path:
        o = self.options
        share = (world.rank, int(world.fabric.world_size))
        task = Task(training(**o.training), SCHEMA, o.batch_dice, basis={"training": o.training})
        return fit(
            network(dropout=o.dropout),
            Balls(1, o.size, share),
            Balls(2, o.size, share),
            task,
            self.folder,
            world,
        )


def main(folder: Path, options: Options) -> None:
    torch.set_num_threads(1)
    clock = time.monotonic if options.tick is None else Ticking(options.tick)

    def watch(step: object) -> None:
        time.sleep(options.pause_s)

    world = World.alone("cpu", "fp32", clock=clock, watch=watch, save_every_s=options.save_every_s)
    work = Work(folder, options)
    if options.devices == 1:
        work(world)
        return
    from delineate.training.processes import Team, free_port, together

    team = Team(options.devices, "cpu", mode_of("fp32", device_of("cpu")), free_port())
    together(work, team, world)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Options(**json.loads(sys.argv[2])))
