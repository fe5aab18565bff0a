"""Prediction: the same weights segment the same 30 hippocampi, from process start to files, beside nnU-Net.

    python -m benchmarks predict WORK --peer benchmarks/.peer/bin/python [--pairs 5]

WORK is the folder in which the hippocampus benchmark has trained the peer; that network is imported. Floor:
30 scans are 33 windows of 38.3 GFLOP (x 8 when mirrored), at 232 GFLOP/s in float32 or about 900 in bf16.
The last line is one scan in a process that has segmented before.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.measure import Cost, paired
from delineate.inference import Segmenter
from delineate.inference.foreign import import_nnunet
from delineate.io import read_label_values, read_volume

NAME = "nnUNetTrainer__nnUNetPlans__3d_fullres"
STOCK = """
import sys, torch
source, target = sys.argv[1:]
content = torch.load(source, map_location="cpu", weights_only=False)
content["trainer_name"] = "nnUNetTrainer"  # the benchmark's own trainer is known to nobody else
torch.save(content, target)
"""


def trained(work: Path, python: Path) -> Path:
    """The peer's network in a folder that its own program can open."""
    folder = work / "predict" / NAME
    if not folder.is_dir():
        source = next((work / "results" / "Dataset004_Hippocampus").glob("*__3d_fullres"))
        (folder / "fold_0").mkdir(parents=True)
        for name in ("plans.json", "dataset.json"):
            shutil.copy(source / name, folder / name)
        files = [str(each / "fold_0" / "checkpoint_final.pth") for each in (source, folder)]
        subprocess.run([str(python), "-c", STOCK, *files], check=True)
    return folder


def again(out: Path, command: Sequence[str]) -> list[str]:
    """The command, with its output folder empty before."""
    return ["sh", "-c", f'rm -rf "{out}" && exec "$@"', "sh", *command]


def agreement(ours: Path, peer: Path) -> tuple[float, float]:
    """The share of voxels with one label, on average and in the worst scan."""
    shares = []
    for file in sorted(ours.glob("*.nii.gz")):
        here, there = (read_label_values(folder / file.name).array for folder in (ours, peer))
        shares.append(float((here == there).mean()))
    return float(np.mean(shares)), min(shares)


def warm(model: Path, scans: Path) -> float:
    """Seconds of one scan through a `Segmenter` that has seen one before: the median of 30."""
    segmenter = Segmenter.open(model)
    channels = tuple(channel.name for channel in segmenter.plan.channels)
    volumes = [read_volume(file, channels=channels) for file in sorted(scans.glob("*.nii.gz"))]
    segmenter.segment(volumes[0])
    seconds = []
    for volume in volumes:
        start = time.perf_counter()
        segmenter.segment(volume)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks predict", description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args(arguments)
    work = given.work.resolve()
    theirs = trained(work, given.peer)
    model = work / "predict" / "model"
    shutil.rmtree(model, ignore_errors=True)
    import_nnunet(theirs, model)
    scans = str(work / "raw" / "Dataset004_Hippocampus" / "imagesTs")
    os.environ |= {
        "nnUNet_compile": "f",
        "nnUNet_raw": "/tmp",
        "nnUNet_results": "/tmp",
        "nnUNet_preprocessed": "/tmp",
    }
    program = str(given.peer.absolute().with_name("nnUNetv2_predict_from_modelfolder"))
    ours_out, peer_out = work / "predict" / "ours", work / "predict" / "peer"
    for mirror in (False, True):
        segment = ["-m", "delineate", "-q", "segment", str(model), scans, "-o", str(ours_out)]
        mine = again(ours_out, [sys.executable, *segment, "--mirror" if mirror else "--no-mirror"])
        predict = ["-i", scans, "-o", str(peer_out), "-m", str(theirs), "-f", "0", "-device", "cpu"]
        peer = again(peer_out, [program, *predict, *([] if mirror else ["--disable_tta"])])
        ours, other = paired(mine, peer, given.pairs)
        print(
            json.dumps(
                row("mirrored" if mirror else "not mirrored", ours, other, agreement(ours_out, peer_out))
            )
        )
    print(json.dumps({"what": "one warm scan", "seconds": round(warm(model, Path(scans)), 3)}))


def row(what: str, ours: Cost, peer: Cost, same: tuple[float, float]) -> dict[str, object]:
    """One line of the result."""
    return {
        "what": what,
        "seconds": [round(ours.seconds, 2), round(peer.seconds, 2)],
        "MB": [round(ours.megabytes), round(peer.megabytes)],
        "ratio": [round(peer.seconds / ours.seconds, 2), round(peer.megabytes / ours.megabytes, 2)],
        "same labels (mean, worst)": [round(share, 6) for share in same],
    }
