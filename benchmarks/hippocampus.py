"""Accuracy for time: 50 hippocampi to learn from, 10 to watch, 30 never seen, a few minutes on two cores.

    python -m benchmarks hippocampus DATA WORK --minutes 10 --seeds 0,1,2 [--peer benchmarks/.peer/bin/python]

DATA is Task04_Hippocampus of the Medical Segmentation Decathlon. Ours is `delineate run` and `delineate
segment` with default settings; the peer is nnU-Net's own trainer with as many epochs of 30 iterations as fit
the time, so that its schedule ends. Both learn from the same files, both are measured by the same evaluation.
Each takes the whole machine; they run one after the other.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.dataset import Dataset, write_nnunet
from delineate.evaluation import Report, evaluate
from delineate.io import read_label_values, write_labels
from delineate.io.disk import write_json
from delineate.space import LabelMap

CASES_SEED = 2026
LEARN, WATCH, TEST = 50, 10, 30
PEER_EPOCHS_IN_TEN_MINUTES = 20  # of 30 iterations; measured: 616 s on two cores
ITERATIONS = 30


@dataclass(frozen=True)
class Work:
    """The folder in which both sides work."""

    folder: Path

    @property
    def raw(self) -> Path:
        return self.folder / "raw" / "Dataset004_Hippocampus"

    def laid_out(self, data: Path) -> Work:
        """Writes the cases once, as nnU-Net raw, with the split that both sides use."""
        if not (self.folder / "splits.json").is_file():
            dataset = Dataset.open(data)
            drawn = (
                np.random.default_rng(CASES_SEED).permutation(dataset.ids)[: LEARN + WATCH + TEST].tolist()
            )
            learnt, test = drawn[: LEARN + WATCH], drawn[LEARN + WATCH :]
            write_nnunet(dataset.subset(learnt), self.raw)
            held = dataset.subset(test)
            for case in held.cases:
                source = case.images[0]
                assert source is not None
                target = self.raw / "imagesTs" / f"{case.id}_0000.nii.gz"
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(source.read_bytes())
                write_labels(held.labels(case), self.folder / "labelsTs" / f"{case.id}.nii.gz")
            split = {"train": sorted(drawn[:LEARN]), "val": sorted(drawn[LEARN : LEARN + WATCH])}
            write_json(self.folder / "splits.json", [split])
        return self


def measured(work: Work, predictions: Path) -> Report:
    """The predictions of 30 test cases against their labels."""
    schema = Dataset.open(work.raw).schema

    def load(case: str) -> tuple[LabelMap, LabelMap]:
        maps = []
        for folder in (work.folder / "labelsTs", predictions):
            found = read_label_values(folder / f"{case}.nii.gz")
            maps.append(LabelMap(found.array, found.geometry, schema))
        return maps[0], maps[1]

    cases = sorted(path.name.removesuffix(".nii.gz") for path in (work.folder / "labelsTs").glob("*.nii.gz"))
    return evaluate(cases, load, rng=np.random.default_rng(0), workers=2)


def summary(report: Report, seconds: dict[str, float]) -> dict[str, object]:
    dice = {s: round(report.summary(s, "dice").mean or 0, 4) for s in report.structures}
    hd95 = {s: round(report.summary(s, "hd95").mean or 0, 3) for s in report.structures}
    worst = min(value for value in report.case_means("dice").values() if value is not None)
    rounded = {stage: round(value, 1) for stage, value in seconds.items()}
    return {
        "mean": round(report.mean() or 0, 4),
        "dice": dice,
        "hd95": hd95,
        "worst": round(worst, 4),
        "s": rounded,
    }


def ours(work: Work, minutes: float, seed: int, settings: list[str]) -> dict[str, object]:
    name = f"ours_{minutes:g}min_seed{seed}"
    run, out = work.folder / name, work.folder / f"{name}_predictions"
    delineate = [sys.executable, "-m", "delineate", "-q"]
    start = time.monotonic()
    subprocess.run(
        [
            *delineate,
            *("run", str(work.raw), str(run), "--minutes", str(minutes)),
            *("--splits", str(work.folder / "splits.json"), "--set", f"training.seed={seed}", *settings),
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    trained = time.monotonic()
    segment = [*delineate, "segment", str(run / "model"), str(work.raw / "imagesTs"), "-o", str(out)]
    subprocess.run(segment, check=True, stdout=subprocess.DEVNULL)
    seconds = {"run": trained - start, "predict": time.monotonic() - trained}
    rows = (run / "folds").rglob("history.jsonl")
    steps = [json.loads(path.read_text().splitlines()[-1])["step"] for path in rows]
    return summary(measured(work, out), seconds) | {"steps": steps[0]}


def peer(work: Work, python: Path, minutes: float, seed: int) -> dict[str, object]:
    epochs = max(1, round(PEER_EPOCHS_IN_TEN_MINUTES * minutes / 10))
    script = Path(__file__).with_name("peer_nnunet.py")
    done = subprocess.run(
        [str(python), str(script), str(work.folder), str(epochs), str(ITERATIONS), str(seed)],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": str(os.cpu_count())},
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("PEER"))
    return summary(measured(work, work.folder / f"peer_{seed}"), json.loads(line.removeprefix("PEER")))


def main(arguments: list[str]) -> None:
    import argparse

    parser = argparse.ArgumentParser(prog="python -m benchmarks hippocampus", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--peer", type=Path, help="Python of the peer's environment (benchmarks/peer.sh)")
    parser.add_argument(
        "--set", dest="settings", action="append", default=[], help="passed on to delineate run"
    )
    given = parser.parse_args(arguments)
    work = Work(given.work.resolve()).laid_out(given.data)
    settings = [word for setting in given.settings for word in ("--set", setting)]
    for seed in (int(seed) for seed in given.seeds.split(",")):
        row = {
            "side": "ours",
            "minutes": given.minutes,
            "seed": seed,
            **ours(work, given.minutes, seed, settings),
        }
        _note(work, row)
        if given.peer is not None:
            row = {"side": "nnU-Net 2.8.1", "minutes": given.minutes, "seed": seed}
            _note(work, row | peer(work, given.peer, given.minutes, seed))


def _note(work: Work, row: dict[str, object]) -> None:
    line = json.dumps(row)
    print(line, flush=True)
    with (work.folder / "results.jsonl").open("a") as file:
        file.write(line + "\n")
