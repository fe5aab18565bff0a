"""Processes: several devices that share each batch.

The calling process is the first; the others are started beside it and end with it. Gradients are
averaged by torch's DistributedDataParallel, set up by Fabric; every process reads the clock of the first,
so that all of them decide alike. The first alone writes and is watched.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed
import torch.multiprocessing
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy

from delineate.errors import Error, RunError
from delineate.training.pace import Clock
from delineate.training.precision import Mode
from delineate.training.world import World, quiet

T = TypeVar("T")
Work = Callable[[World], T]

HERE = "127.0.0.1"
PATIENCE_S = 10.0  # with a process that should have ended
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")  # torch is told by these where the first process listens


@dataclass(frozen=True)
class Team:
    """Processes on one machine that share each batch."""

    size: int
    device: str  # "cpu" or "cuda"
    mode: Mode
    port: int


def together(work: Work[T], team: Team, world: World) -> T:
    """What `work` returns in this process, which does it as the first of a team.

    `world` lends its clock, its watcher and how often to save. `work` goes to the other processes, so it
    must be a value that can be pickled.
    """
    context = torch.multiprocessing.get_context("spawn")
    others = [
        context.Process(target=_join, args=(work, team, rank), daemon=True) for rank in range(1, team.size)
    ]
    for process in others:
        process.start()
    try:
        with _member(team, 0) as fabric:
            mine = World(fabric, _shared(world.clock), world.watch, world.save_every_s)
            return _led(work, mine, others)
    finally:
        for process in others:
            process.join(PATIENCE_S)
            process.terminate()


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((HERE, 0))
        return int(listener.getsockname()[1])


def _join(work: Work[Any], team: Team, rank: int) -> None:
    """What another process of the team does. The first one tells what went wrong, or that it was stopped."""
    try:
        with _member(team, rank) as fabric:
            work(World(fabric, _shared(None)))
    except (Error, KeyboardInterrupt):
        sys.exit(1)


@contextmanager
def _member(team: Team, rank: int) -> Iterator[Fabric]:
    threads = torch.get_num_threads()
    before = {name: os.environ.get(name) for name in ADDRESS}
    if team.device == "cpu":
        torch.set_num_threads(max(1, threads // team.size))
    strategy = DDPStrategy(cluster_environment=_Neighbour(rank, team))
    try:
        with quiet():
            fabric = Fabric(
                accelerator=team.device, devices=team.size, strategy=strategy, precision=team.mode
            )
            fabric.launch()
        yield fabric
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        torch.set_num_threads(threads)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def _shared(clock: Clock | None) -> Clock:
    """The clock of the first process, read by all at once."""
    group = torch.distributed.new_group(backend="gloo")  # in main memory: a GPU need not stop for it

    def read() -> float:
        now = torch.tensor([clock() if clock else 0.0], dtype=torch.float64)
        torch.distributed.broadcast(now, 0, group=group)
        return float(now)

    return read


def _led(work: Work[T], world: World, others: list[Any]) -> T:
    """What the first process does. If another has ended under it, the error says so."""
    try:
        return work(world)
    except RuntimeError as error:
        # Those that are well still wait for this process, so whoever has ended did so by itself.
        for rank, process in enumerate(others, 1):
            process.join(PATIENCE_S)
            if process.exitcode:
                raise RunError(
                    f"process {rank} of the training ended with exit code {process.exitcode}; its message "
                    f"is above. Start again: the training goes on from its last checkpoint. If it ends so "
                    f"again, train with one device."
                ) from error
        raise


class _Neighbour(ClusterEnvironment):
    """Tells Fabric that the processes exist, on one machine."""

    def __init__(self, rank: int, team: Team) -> None:
        self._rank, self._team = rank, team

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return HERE

    @property
    def main_port(self) -> int:
        return self._team.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._team.size

    def set_world_size(self, size: int) -> None:
        """The size of the team stands."""

    def global_rank(self) -> int:
        return self._rank

    def set_global_rank(self, rank: int) -> None:
        """So does the rank."""

    def local_rank(self) -> int:
        return self._rank

    def node_rank(self) -> int:
        return 0
