"""Training: seconds a step, waiting and memory, on nnU-Net's own plan, beside nnU-Net's own trainer.

    python -m benchmarks training WORK [--peer benchmarks/.peer/bin/python] [--pairs 3] [--steps 40]
                                  [--device cpu]

WORK is the folder that the hippocampus benchmark has laid out. Both sides train the same 3D network on the
same patches in the same batch, each with its own augmentation, loader and precision ("auto" for ours: bf16
where the device multiplies it). The first ten steps are not counted. Memory is that of all processes.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.measure import Cost, cost

WARM = 10  # steps that are not counted
OURS = """
import json, sys, time
from pathlib import Path
from delineate import Dataset, fingerprint, make_plan, prepare
from delineate.dataset import Fold
from delineate.training import train
raw, work, steps, device, precision, warm = sys.argv[1:7]
work, steps, warm = Path(work), int(steps), int(warm)
dataset = Dataset.open(raw)
plan = make_plan(fingerprint(dataset), steps=steps + warm).set_by_hand("training.precision", precision)
store = prepare(dataset, plan, work / "prepared", names=("3d_fullres",))["3d_fullres"]
moments = []
import shutil
shutil.rmtree(work / "fold", ignore_errors=True)
ids = tuple(store.ids)
plan = plan.set_by_hand("training.validate_every", steps + warm).set_by_hand("training.validation_batches", 1)
train(plan, store, Fold(train=ids[2:], validation=ids[:2]), work / "fold", name="3d_fullres", device=device,
      watch=lambda step: moments.append(time.monotonic()))
rows = [json.loads(line) for line in (work / "fold" / "history.jsonl").read_text().splitlines()]
moments = moments[warm - 1 : -1]  # the last holds the validation
network = plan.configuration("3d_fullres")
print(json.dumps({
    "seconds": (moments[-1] - moments[0]) / (len(moments) - 1),
    "waited": sum(row["waited"] for row in rows[1:]) / max(1, len(rows) - 1),
    "patch": network.patch, "batch": network.batch,
}))
"""


@dataclass(frozen=True)
class Step:
    """What a step of one side takes.

    seconds  per step; waited  share of it in which the network stood still for the next batch
    """

    seconds: float
    waited: float
    megabytes: float
    batch: int
    patch: tuple[int, ...]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks training", description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args(arguments)
    work = given.work.resolve()
    raw, out = work / "raw" / "Dataset004_Hippocampus", work / "ours_training"
    out.mkdir(exist_ok=True)
    ours = {
        precision: [
            *(sys.executable, "-c", OURS, str(raw), str(out)),
            *(str(given.steps), given.device, precision, str(WARM)),
        ]
        for precision in ("auto", "fp32")
    }
    script = Path(__file__).with_name("peer_training.py")
    theirs = [str(given.peer), str(script), str(work), str(given.steps), given.device, str(WARM)]
    found: dict[str, list[Step]] = {name: [] for name in (*ours, "peer")}
    for _ in range(given.pairs):
        for precision, command in ours.items():
            found[precision].append(measured(command))
        if given.peer is not None:
            found["peer"].append(measured(theirs))
    for row in rows(found):
        print(json.dumps(row), flush=True)


def measured(command: list[str]) -> Step:
    """What a side says of its steps, and the memory of its processes."""
    took: Cost = cost(command)
    said = json.loads(took.output.splitlines()[-1])
    return Step(said["seconds"], said["waited"], took.megabytes, said["batch"], tuple(said["patch"]))


def rows(found: dict[str, list[Step]]) -> list[dict[str, object]]:
    """Per side the medians, and how many times the peer's they are."""
    middle = {name: _middle(steps) for name, steps in found.items() if steps}
    peer = middle.get("peer")
    result = []
    for name, step in middle.items():
        row: dict[str, object] = {"side": name, **asdict(step), "per second": step.batch / step.seconds}
        if peer is not None and name != "peer":
            row["ratio"] = [peer.seconds / step.seconds, peer.megabytes / step.megabytes]
            row["same work"] = (peer.patch, peer.batch) == (step.patch, step.batch)
        result.append(row)
    return result


def _middle(steps: list[Step]) -> Step:
    return Step(
        median(step.seconds for step in steps),
        median(step.waited for step in steps),
        median(step.megabytes for step in steps),
        steps[0].batch,
        steps[0].patch,
    )
