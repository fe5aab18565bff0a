"""Live: frames before a deadline on this machine, and what the fast mode saves on a large scan.

python -m benchmarks live WORK [--frames 300] [--edge 256] [--deadline-ms 200] [--shape 320,320,160]

The 2D network is the one that the planner makes for RGB pictures of that edge on a CPU, the 3D one has 16 to
128 features and sees 64^3; their weights are random, which costs what trained ones cost. In the fast mode the
logits are replaced by a threshold after they were computed, so that there is a structure to be found.
Results: WORK/live.json, and a table on the screen.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from delineate.dataset import Dataset
from delineate.inference import Live, Segmenter
from delineate.inference.fast import window_count
from delineate.io import write_labels, write_volume
from delineate.networks import build_network
from delineate.planning import fingerprint, make_plan
from delineate.planning.plan import (
    Augmentation,
    ChannelPlan,
    Configuration,
    NetworkSpec,
    Normalization,
    Plan,
    Training,
)
from delineate.preparation.prepared import upright
from delineate.space import Geometry, LabelSchema, Volume
from delineate.space.phantoms import cells


class Threshold(nn.Module):
    """A network's cost, and a threshold's answer."""

    def __init__(self, network: nn.Module, outputs: int) -> None:
        super().__init__()
        self.network, self.outputs = network, outputs

    def forward(self, x: Tensor) -> Tensor:
        logits = self.network(x) * 0
        logits[:, 0] += 3
        logits[:, 1] += x[:, 0]
        return logits


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks live", description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--edge", type=int, default=256)
    parser.add_argument("--deadline-ms", type=float, default=200.0)
    parser.add_argument("--shape", default="320,320,160")
    given = parser.parse_args(arguments)
    shape = tuple(int(n) for n in given.shape.split(","))
    result = {
        "threads": torch.get_num_threads(),
        "live": streamed(given.work, given.frames, given.edge, given.deadline_ms),
        "fast": hurried(shape),
    }
    given.work.mkdir(parents=True, exist_ok=True)
    (given.work / "live.json").write_text(json.dumps(result, indent=2))
    print(table(result))


def streamed(work: Path, frames: int, edge: int, deadline_ms: float) -> dict[str, object]:
    """Frames of the planned 2D network: as they are asked for, and sent twice as fast as that."""
    plan = planned_2d(work / f"cells_{edge}", edge)
    pictures = [cells(np.random.default_rng(n), size=edge)[0] for n in range(8)]
    network = build_network(plan.configuration().network, 3, len(plan.labels.outputs)).eval()
    segmenter = Segmenter(plan, {"2d": [network]})
    live = Live(segmenter, deadline_ms=deadline_ms)
    start = time.perf_counter()
    cold_ms = live.warm_up(pictures[0].geometry)
    warm_s = time.perf_counter() - start
    sizes = live.expected(pictures[0].geometry)
    flags = [each.flag for each in live.results(pictures[n % 8] for n in range(frames))]
    summary = live.summary()
    return {
        "edge": edge,
        "parameters": sum(p.numel() for p in network.parameters()),
        "frames": len(flags),
        "cold_ms": cold_ms,
        "warm_up_s": warm_s,
        "ms_by_factor": sizes,
        "summary": summary.model_dump(),
        "per_second": summary.per_second,
    }


def planned_2d(folder: Path, edge: int) -> Plan:
    """The plan that twelve pictures of cells get on a CPU."""
    if not (folder / "dataset.csv").exists():
        rows = ["case,image,label"]
        for number in range(12):
            picture, labels = cells(np.random.default_rng(number), size=edge)
            write_volume(picture, folder / f"c{number}.png")
            write_labels(labels, folder / f"c{number}_label.png")
            rows.append(f"c{number},c{number}.png,c{number}_label.png")
        (folder / "labels.json").write_text('{"background": 0, "cytoplasm": 1, "nucleus": 2}')
        (folder / "dataset.csv").write_text("\n".join(rows) + "\n")
    dataset = Dataset.open(folder / "dataset.csv")
    return make_plan(fingerprint(dataset, workers=1), device="cpu", minutes=600)


def hurried(shape: tuple[int, ...]) -> dict[str, object]:
    """A scan of 1.5 mm with one structure of a kidney's size, in full and fast."""
    plan = planned_3d(shape)
    outputs = len(plan.labels.outputs)
    network = Threshold(build_network(plan.configuration().network, 1, outputs), outputs).eval()
    full = Segmenter(plan, {"3d_fullres": [network]})
    scan = kidney(shape)
    seconds, labels = {}, {}
    for name, segmenter in (("full", full), ("fast", replace(full, fast=True))):
        start = time.perf_counter()
        labels[name] = segmenter.segment(scan).labels
        seconds[name] = time.perf_counter() - start
    a, b = labels["full"].array > 0, labels["fast"].array > 0
    return {
        "shape": list(shape),
        "patch": list(plan.configuration().patch),
        "windows": window_count(full, upright(scan, plan).cropped),
        "seconds": seconds,
        "dice": float(2 * (a & b).sum() / max(1, a.sum() + b.sum())),
        "note": labels["fast"].notes[0],
    }


def kidney(shape: tuple[int, ...]) -> Volume:
    rng = np.random.default_rng(0)
    array = rng.normal(0, 0.1, shape).astype(np.float32)
    centre = [n / 3 for n in shape]
    distance = np.sqrt(
        sum((p - c) ** 2 for p, c in zip(np.ogrid[tuple(map(slice, shape))], centre, strict=True))
    )
    array += 4 * np.clip(30 / 1.5 - distance + 0.5, 0, 1).astype(np.float32)
    return Volume(array[None], Geometry(shape, np.diag([1.5, 1.5, 1.5, 1.0])), ("CT",))


def planned_3d(shape: tuple[int, ...]) -> Plan:
    """The plan of a 3D dataset of such scans, as the planner makes it for a CPU, intensities left alone."""

    edge = 64 if min(shape) >= 64 else 16
    spec = NetworkSpec(
        features=(16, 32, 64, 128) if edge == 64 else (4, 8),
        strides=((1, 1, 1), *((2, 2, 2),) * (3 if edge == 64 else 1)),
        kernels=((3, 3, 3),) * (4 if edge == 64 else 2),
        encoder_blocks=(2,) * (4 if edge == 64 else 2),
        decoder_blocks=(2,) * (3 if edge == 64 else 1),
        deep_supervision=False,
    )
    configuration = Configuration(
        spacing=(1.5, 1.5, 1.5),
        median_shape=shape,
        patch=(edge,) * 3,
        batch=2,
        network=spec,
        batch_dice=False,
    )
    return Plan(
        dataset="phantom",
        fingerprint="0" * 64,
        labels=LabelSchema.of("kidney"),
        channels=(ChannelPlan(name="CT", normalization=Normalization(rule="none")),),
        orientation="RAS",
        crop_to_nonzero=False,
        configurations={"3d_fullres": configuration},
        use=("3d_fullres",),
        augmentation={"3d_fullres": Augmentation()},
        training=Training(optimizer="sgd", learning_rate=0.01, weight_decay=0, schedule="poly", steps=1),
        reasons={},
    )


def table(result: dict[str, object]) -> str:
    """The figures as Markdown."""
    live, fast = result["live"], result["fast"]
    summary = live["summary"]
    sizes = ", ".join(f"{factor:g}: {ms:.0f} ms" for factor, ms in live["ms_by_factor"].items())
    return "\n".join(
        [
            f"| {live['edge']} x {live['edge']} frames, {live['parameters'] / 1e6:.1f} M parameters | |",
            "|---|---|",
            f"| frames a second | {live['per_second']:.1f} |",
            f"| latency p50, p99 | {summary['p50_ms']:.0f} ms, {summary['p99_ms']:.0f} ms |",
            f"| full, reduced, repeated, dropped | {summary['full']}, {summary['reduced']}, "
            f"{summary['repeated']}, {summary['dropped']} |",
            f"| first frame, cold | {live['cold_ms']:.0f} ms |",
            f"| one frame made smaller by | {sizes} |",
            "",
            f"| {' x '.join(map(str, fast['shape']))} voxels, {fast['windows']} windows | |",
            "|---|---|",
            f"| full, fast | {fast['seconds']['full']:.1f} s, {fast['seconds']['fast']:.1f} s |",
            f"| Dice of the two | {fast['dice']:.4f} |",
            f"| said | {fast['note']} |",
        ]
    )
