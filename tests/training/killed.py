"""A program that trains and is killed, again and again, until the training is finished.

    python killed.py FOLDER OPTIONS SEED     prints how often it was killed

Each attempt is a process of its own that gets SIGKILL at a random moment, and in the end is let run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import lightning_fabric  # noqa: F401 - once, not in every attempt

sys.path.insert(0, str(Path(__file__).parent))
from tiny import Options, main

KILLS = 10


def attempt(folder: Path, options: Options, patience_s: float | None) -> bool:
    """Whether a process that may train so long came to its end."""
    child = os.fork()
    if child == 0:
        main(folder, options)
        os._exit(0)
    if patience_s is not None:
        time.sleep(patience_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return status == 0


def run(folder: Path, options: Options, seed: int) -> int:
    chance = random.Random(seed)
    for kills in range(KILLS):
        if attempt(folder, options, chance.uniform(0.03, 0.3)):
            return kills
    assert attempt(folder, options, None), "it did not finish when it was let"
    return KILLS


if __name__ == "__main__":
    sys.stdout.write(str(run(Path(sys.argv[1]), Options(**json.loads(sys.argv[2])), int(sys.argv[3]))))
