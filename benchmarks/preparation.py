"""Preparation: fingerprint, plan and prepare 60 hippocampi (2D and 3D), beside nnU-Net.

    python -m benchmarks preparation WORK [--peer benchmarks/.peer/bin/python] [--pairs 3]

WORK is the folder that the hippocampus benchmark has laid out.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from benchmarks.measure import cost, paired

OURS = """
import sys
from pathlib import Path
from delineate import Dataset, fingerprint, make_plan, prepare
dataset = Dataset.open(sys.argv[1])
plan = make_plan(fingerprint(dataset))
prepare(dataset, plan, Path(sys.argv[2]), names=("2d", "3d_fullres"))
"""
PEER = """
import os, sys
work = sys.argv[1]
for name in ("raw", "preprocessed", "results"):
    os.environ[f"nnUNet_{name}"] = f"{work}/peer_preparation/{name}" if name != "raw" else f"{work}/raw"
from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints
from nnunetv2.experiment_planning.plan_and_preprocess_api import plan_experiments, preprocess
if __name__ == "__main__":
    import shutil
    shutil.rmtree(f"{work}/peer_preparation", ignore_errors=True)
    settings = {} if sys.argv[2] == "defaults" else {"num_processes": 2}
    extract_fingerprints([4], **settings)
    plan_experiments([4])
    processes = (8, 8) if sys.argv[2] == "defaults" else (2, 2)
    preprocess([4], configurations=("2d", "3d_fullres"), num_processes=processes)
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks preparation", description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    given = parser.parse_args(arguments)
    raw = given.work.resolve() / "raw" / "Dataset004_Hippocampus"
    out = given.work.resolve() / "ours_preparation"
    again = f"import shutil; shutil.rmtree({str(out)!r}, ignore_errors=True)\n"
    mine = [sys.executable, "-c", again + OURS, str(raw), str(out)]
    script = given.work.resolve() / "peer_preparation.py"
    script.write_text(PEER)
    if given.peer is None:
        took = cost(mine)
        print(json.dumps({"side": "ours", "seconds": took.seconds, "MB": took.megabytes}))
    else:
        for how in ("defaults", "tuned"):
            ours, peer = paired(
                mine, [str(given.peer), str(script), str(given.work.resolve()), how], given.pairs
            )
            row = {
                "peer": how,
                "seconds": [round(ours.seconds, 2), round(peer.seconds, 2)],
                "MB": [round(ours.megabytes), round(peer.megabytes)],
                "ratio": [round(peer.seconds / ours.seconds, 1), round(peer.megabytes / ours.megabytes, 1)],
            }
            print(json.dumps(row), flush=True)
    shutil.rmtree(out, ignore_errors=True)
