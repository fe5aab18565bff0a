"""Measure: wall time and peak memory of a command, its child processes included."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import psutil

EVERY_S = 0.02
REST = 19  # times as long as a look, which walks through all pages: the watcher takes a twentieth of a core


@dataclass(frozen=True)
class Cost:
    """What a command took: seconds, and MB of proportional memory summed over its processes.

    output  what it printed
    """

    seconds: float
    megabytes: float
    output: str = ""


def cost(command: Sequence[str], *, env: dict[str, str] | None = None) -> Cost:
    """Runs a command to its end; raises where it fails."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True)
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peak), daemon=True)
    watcher.start()
    output, errors = process.communicate()
    seconds = time.monotonic() - start
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{errors[-2000:]}")
    return Cost(seconds, peak[0], output)


def paired(ours: Sequence[str], peer: Sequence[str], pairs: int) -> tuple[Cost, Cost]:
    """Medians of both commands, run in turn so that a noisy minute hits both."""
    costs = [(cost(ours), cost(peer)) for _ in range(pairs)]
    return tuple(  # type: ignore[return-value]
        Cost(median(c[side].seconds for c in costs), median(c[side].megabytes for c in costs))
        for side in (0, 1)
    )


def _watch(pid: int, peak: list[float]) -> None:
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            looked = time.monotonic()
            peak[0] = max(peak[0], _memory([root, *root.children(recursive=True)]))
            time.sleep(max(EVERY_S, REST * (time.monotonic() - looked)))
    except psutil.NoSuchProcess:
        return


def _memory(processes: Sequence[psutil.Process]) -> float:
    total = 0.0
    for process in processes:
        try:
            total += process.memory_full_info().pss / 1e6
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return total
