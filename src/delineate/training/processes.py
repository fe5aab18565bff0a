"""Processes: several devices that share each batch.

The calling process is the first; the others are started beside it and end with it. Gradients are
averaged by torch's DistributedDataParallel, set up by Fabric; every process reads the clock of the first,
so that all of them decide alike. The first alone writes and is watched. A launcher (torchrun) may have
started them all instead, on one machine or several: then each is told its place.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self, TypeVar

import torch
import torch.distributed
import torch.multiprocessing
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch.distributed.constants import default_pg_timeout

from delineate.errors import Error, RunError
from delineate.networks import Precision, device_of
from delineate.training.pace import Clock
from delineate.training.precision import Mode, mode_of
from delineate.training.world import World, quiet

T = TypeVar("T")
Work = Callable[[World], T]

HERE = "127.0.0.1"
PATIENCE_S = 10.0  # with a process that should have ended
ADDRESS = ("MASTER_ADDR", "MASTER_PORT")  # torch is told by these where the first process listens
LAUNCHED = "TORCHELASTIC_RUN_ID"  # set by torchrun in every process that it starts
WAIT = timedelta(days=7)  # for the first process, which may prepare a large dataset; torchrun ends what hangs


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


@dataclass(frozen=True)
class Place:
    """Where this process stands among those that a launcher has started.

    local_rank  its number on its machine, which has `local_size` of them; `nodes` machines take part
    """

    rank: int
    size: int
    local_rank: int
    local_size: int
    node: int
    nodes: int
    address: str
    port: int

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self | None:
        """What torchrun tells a process in its environment; None where it was not started so."""
        if LAUNCHED not in environment:
            return None
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "GROUP_WORLD_SIZE")
        missing = [name for name in (*names, *ADDRESS) if name not in environment]
        if missing:
            raise RunError(
                f"{LAUNCHED} is set, as if torchrun had started this, but {', '.join(missing)} is not. Start "
                f"it with  torchrun --nproc-per-node 2 -m delineate train RUN  or remove that variable."
            )
        rank, size, local_rank, local_size, node, nodes = (int(environment[name]) for name in names)
        where = (environment["MASTER_ADDR"], int(environment["MASTER_PORT"]))
        return cls(rank, size, local_rank, local_size, node, nodes, *where)

    @property
    def leads(self) -> bool:
        """Whether this is the first process of all."""
        return self.rank == 0


@contextmanager
def among(place: Place, device: str, precision: Precision) -> Iterator[World]:
    """This process as one of those that a launcher has started; waits until all are there."""
    kind = device_of(device)
    mode = mode_of(precision, kind)
    team = (kind.type, place.local_size, mode)
    with _fabric(_Launched(place), *team, nodes=place.nodes, timeout=WAIT) as fabric:
        yield World(fabric, _shared(time.monotonic if place.leads else None))


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
    if team.device == "cpu":
        torch.set_num_threads(max(1, threads // team.size))
    try:
        with _fabric(_Neighbour(rank, team), team.device, team.size, team.mode) as fabric:
            yield fabric
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _fabric(
    environment: ClusterEnvironment,
    device: str,
    devices: int,
    mode: Mode,
    *,
    nodes: int = 1,
    timeout: timedelta = default_pg_timeout,
) -> Iterator[Fabric]:
    """Fabric among the processes that `environment` tells of; the group ends with the block."""
    before = {name: os.environ.get(name) for name in ADDRESS}
    strategy = DDPStrategy(cluster_environment=environment, timeout=timeout)
    try:
        with quiet():
            fabric = Fabric(
                accelerator=device, devices=devices, num_nodes=nodes, strategy=strategy, precision=mode
            )
            fabric.launch()
        yield fabric
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
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


class _Launched(ClusterEnvironment):
    """Tells Fabric what a launcher told this process."""

    def __init__(self, place: Place) -> None:
        self._place = place

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self._place.address

    @property
    def main_port(self) -> int:
        return self._place.port

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return self._place.size

    def set_world_size(self, size: int) -> None:
        """The launcher has set it."""

    def global_rank(self) -> int:
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        """So is the rank."""

    def local_rank(self) -> int:
        return self._place.local_rank

    def node_rank(self) -> int:
        return self._place.node
