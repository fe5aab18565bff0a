"""Augmentation: one sample of 128^3 voxels with 25 or 101 labels, on one thread, beside nnU-Net's own.

    python -m benchmarks augmentation [--peer benchmarks/.peer/bin/python] [--pairs 3] [--samples 20]

Both sides draw from nnU-Net's default 3D recipe (rotation, scale, noise, blur, brightness, contrast, low
resolution, two gammas, mirror) and read the sample from a block as large as that recipe asks for. Means, not
medians: most samples are cheap, and what training waits for is the sum.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from statistics import median

from benchmarks.measure import cost

LABELS = (25, 101)
BLOCK = 300  # edges of the block: more than a rotated and shrunken patch of 128 reaches over
READ = 205  # edges that nnU-Net reads of it, whatever is drawn
OURS = """
import json, sys, time
import numpy as np, torch
from delineate.planning import Augmentation
from delineate.preparation.recipe import Cutout, Recipe
torch.set_num_threads(1)
block, samples, labels = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
image, values = torch.from_numpy(block["image"])[None], torch.from_numpy(block["labels"].astype(np.int16))
recipe = Recipe(Augmentation(), edges=(128,) * 3, spacing=(1.0,) * 3, mirror_axes=(0, 1, 2))
def sample(seed):
    draw = recipe.draw(np.random.default_rng(seed))
    where = tuple(slice((n - r) // 2, (n - r) // 2 + r) for n, r in zip(values.shape, draw.reach))
    recipe.apply([Cutout(image[(slice(None), *where)], values[where])], [draw])
sample(10**6)
began = time.perf_counter()
for seed in range(samples):
    sample(seed)
print(json.dumps({"seconds": (time.perf_counter() - began) / samples}))
"""
PEER = """
import json, sys, time
import numpy as np, torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
torch.set_num_threads(1)
block, samples, labels = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
turn = np.pi / 6
transforms = nnUNetTrainer.get_training_transforms(
    np.array((128,) * 3), (-turn, turn), None, (0, 1, 2), False, use_mask_for_norm=[False],
    is_cascaded=False, foreground_labels=list(range(1, labels + 1)), regions=None, ignore_label=None)
image, values = (torch.from_numpy(block[name].astype(kind))[None] for name, kind in
                 (("image", np.float32), ("labels", np.int16)))
first, read = (image.shape[1] - int(sys.argv[4])) // 2, int(sys.argv[4])
image, values = (each[:, first:first + read, first:first + read, first:first + read].contiguous()
                 for each in (image, values))
def sample(seed):
    np.random.seed(seed); torch.manual_seed(seed)
    transforms(image=image.clone(), segmentation=values.clone())
sample(10**6)
began = time.perf_counter()
for seed in range(samples):
    sample(seed)
print(json.dumps({"seconds": (time.perf_counter() - began) / samples}))
"""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks augmentation", description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--samples", type=int, default=20)
    given = parser.parse_args(arguments)
    given.work.mkdir(parents=True, exist_ok=True)
    for labels in LABELS:
        block = write_block(given.work / f"block_{labels}.npz", labels)
        sides = {"ours": [sys.executable, "-c", OURS]}
        if given.peer is not None:
            sides["peer"] = [str(given.peer), "-c", PEER]
        said: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(given.pairs):
            for name, command in sides.items():
                took = cost([*command, str(block), str(given.samples), str(labels), str(READ)])
                said[name].append(json.loads(took.output.splitlines()[-1])["seconds"])
        seconds = {name: median(values) for name, values in said.items()}
        row = {"labels": labels, "seconds": seconds}
        if "peer" in seconds:
            row["ratio"] = seconds["peer"] / seconds["ours"]
        print(json.dumps(row), flush=True)


def write_block(path: Path, labels: int) -> Path:
    """A noisy image and boxes of each label, the same for both sides."""
    import numpy as np

    rng = np.random.default_rng(labels)
    image = rng.normal(size=(BLOCK,) * 3).astype(np.float32)
    values = np.zeros(image.shape, np.uint8)
    for value in range(1, labels + 1):
        start = rng.integers((BLOCK - READ) // 2, (BLOCK + READ) // 2 - 30, 3)
        stop = start + rng.integers(10, 30, 3)
        values[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = value
    np.savez(path, image=image, labels=values)
    return path
