"""Start-up: what a user waits for before anything happens.

python -m benchmarks startup [--peer benchmarks/.peer/bin/python] [--pairs 5]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from benchmarks.measure import cost, paired

OURS = {
    "delineate --help": ["-m", "delineate", "--help"],
    "import delineate": ["-c", "import delineate"],
    "ready to segment": ["-c", "from delineate import Segmenter"],
}
PEER = ["-c", "from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks startup", description=__doc__)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args(arguments)
    for name, code in OURS.items():
        command = [sys.executable, *code]
        cost(command)  # once for the disk's sake
        if given.peer is None or name != "ready to segment":
            mine = sorted((cost(command) for _ in range(given.pairs)), key=lambda c: c.seconds)[
                given.pairs // 2
            ]
            print(json.dumps({"what": name, "seconds": round(mine.seconds, 3), "MB": round(mine.megabytes)}))
            continue
        mine, theirs = paired(command, [str(given.peer), *PEER], given.pairs)
        row = {
            "what": f"{name}, beside nnU-Net",
            "seconds": [round(mine.seconds, 2), round(theirs.seconds, 2)],
            "MB": [round(mine.megabytes), round(theirs.megabytes)],
            "ratio": [round(theirs.seconds / mine.seconds, 2), round(theirs.megabytes / mine.megabytes, 2)],
        }
        print(json.dumps(row))
