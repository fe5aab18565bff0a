"""Batches: what the training steps get, made ahead of time by worker threads.

A batch depends on its number alone (`Sampler.batch`), so neither how many threads there are nor which is
faster changes a bit of it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Barrier
from types import TracebackType
from typing import Protocol, Self

import torch

from delineate.errors import PlanError
from delineate.preparation.patches import Batch


class Maker(Protocol):
    """What makes a batch from its number alone."""

    def batch(self, step: int, device: torch.device | str = "cpu") -> Batch: ...  # noqa: D102


class Batches:
    """The batches of a training in order, made ahead by worker threads.

        with Batches(sampler, workers=2, start_step=7) as batches:
            for batch in batches: ...

    Torch releases the interpreter's lock, so threads are enough. Each worker computes with one thread
    of torch, lest it takes the cores that the training step needs; the caller's number is untouched.
    At most `ahead` batches per worker wait. `waited_s` adds up the seconds that the consumer stood
    still for a batch; near zero is as it should be.
    """

    def __init__(
        self,
        sampler: Maker,
        *,
        workers: int = 1,
        start_step: int = 0,
        stop_step: int | None = None,
        device: torch.device | str = "cpu",
        ahead: int = 2,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if workers < 1 or ahead < 1:
            raise PlanError(
                f"batches need at least one worker thread and one batch ahead of each, "
                f"got workers={workers} and ahead={ahead}"
            )
        self.sampler, self.device, self.stop_step, self.waited_s = sampler, device, stop_step, 0.0
        self._clock, self._next, self._room = clock, start_step, workers * ahead
        self._waiting: deque[Future[Batch]] = deque()
        self._pool = _single_threaded_pool(workers)
        self._fill()

    def __getitem__(self, step: int) -> Batch:
        """The batch of any step, made now in the calling thread."""
        return self.sampler.batch(step, self.device)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if not self._waiting:
            raise StopIteration
        start = self._clock()
        batch = self._waiting.popleft().result()
        self.waited_s += self._clock() - start
        self._fill()
        return batch

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers; a batch that is being made is waited for, the others are dropped."""
        self._waiting.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _fill(self) -> None:
        while len(self._waiting) < self._room and (self.stop_step is None or self._next < self.stop_step):
            self._waiting.append(self._pool.submit(self.sampler.batch, self._next, self.device))
            self._next += 1


def _single_threaded_pool(workers: int) -> ThreadPoolExecutor:
    """Threads in each of which torch uses one core.

    `torch.set_num_threads` speaks for the calling thread and for threads not yet born, so every
    worker says it at its birth, and the caller puts its own number back when all are there.
    """
    before, born = torch.get_num_threads(), Barrier(workers + 1)

    def begin() -> None:
        torch.set_num_threads(1)
        torch.get_num_threads()  # torch takes note of the number now, not at the first operation
        born.wait()

    pool = ThreadPoolExecutor(workers, thread_name_prefix="batches", initializer=begin)
    for _ in range(workers):
        pool.submit(int)  # a thread is born with its first task
    born.wait()
    torch.set_num_threads(before)
    return pool
