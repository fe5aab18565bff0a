"""Evaluation: the same numbers of the same masks, beside the tools that define them.

    python -m benchmarks evaluation WORK [--peer PYTHON] [--pairs 3] [--only 240 --labels 5]

WORK is a folder for masks; PYTHON that of an environment with medpy 0.5.2, surface-distance 0.1, monai and
SimpleITK. Organs are ellipsoids with wavy outlines; the prediction's outline is off by about 1 mm and half of
the organs have a piece too many. Every tool gets boolean masks, label by label, as its documentation shows;
ours gets the two label maps. Timed is the call, arrays in hand, in processes that take turns; all values are
compared. Of many labels, other tools are asked for a few (`SLOW`, `ASKED`) and their time is multiplied: each
looks at the whole grid for every label, so all take about as long. The ratio of processor seconds is told
too: it does not mind what else a machine does. Memory is the peak of a process of its own, and what of it
was not there before the call (imports and the two maps).

The floor. Two maps of one byte per voxel are read once: 2 x 9 MB (240 x 240 x 155) or 2 x 52 MB (512 x 512 x
200), 1 to 10 ms at the 10 to 35 GB/s of one core. A structure in a box of v voxels takes, for each mask, a
comparison, six shifted ANDs and a search for what is set: some 10 v bytes, 4 ms for a liver of 4 million. Of
its b border voxels those that both masks have (about half) cost nothing; the others look at their neighbours
in the order of distance until one is set: 4 d^3 looks for a distance of d voxels, so 10 for the usual 1.3,
which makes 0.3 million looks or 2 ms for 26 000 voxels. Nothing needs a number per voxel. A distance
transform of the grid, which is what tools do instead, visits every voxel several times and writes 8 to 20
bytes for each: 52 million voxels at 200 ns are 10 s and 1 GB, for either direction.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.measure import cost
from delineate.space import Box, Geometry
from delineate.space.phantoms import Ellipsoid, Waves

GRIDS = {240: ((240, 240, 155), (1.0, 1.0, 1.0)), 512: ((512, 512, 200), (0.8, 0.8, 1.5))}
RADIUS = {1: 0.2, 5: 0.14, 50: 0.05}  # of an organ, as a share of the smallest extent
ERROR_MM = 1.2
SLOW = {"MedPy": 1, "SimpleITK": 2}  # look at the whole grid for every label
ASKED = 10  # labels, of the others
LEAST_S, LOOK_S = 0.5, 2.0  # calls are repeated for so long, where time is taken and where memory is

HEAD = """
import json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
import psutil
folder, count, asked, atleast = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
reference, prediction = np.load(folder + "/reference.npy"), np.load(folder + "/prediction.npy")
spacing = tuple(json.loads(open(folder + "/spacing.json").read()))
labels = range(1, asked + 1)
"""
TAIL = """
small = np.zeros((12, 12, 12), np.uint8)
small[3:7, 3:7, 3:7] = 1
job(small, np.roll(small, 1, 0), [1])  # what is loaded or worked out once
before = psutil.Process().memory_full_info().pss / 1e6
seconds, cpu = [], []
while sum(seconds) < atleast or not seconds:
    start = time.perf_counter(), time.process_time()
    found = job(reference, prediction, labels)
    seconds.append(time.perf_counter() - start[0])
    cpu.append(time.process_time() - start[1])
print(json.dumps({"seconds": seconds, "cpu": cpu, "before": before, "values": found}))
"""
OURS = """
from delineate.evaluation import Rules, evaluate_case
from delineate.space import Geometry, LabelMap, LabelSchema
rules = Rules(metrics=tuple(METRICS))
schema = LabelSchema.of(*map(str, range(1, count + 1)))
def job(reference, prediction, labels):
    grid = Geometry(reference.shape, np.diag([*spacing, 1.0]))
    maps = [LabelMap(array, grid, schema) for array in (reference, prediction)]
    rows = evaluate_case(*maps, "case", rules=rules)
    found = {m: [] for m in METRICS}
    for row in rows:
        if row.metric in found:
            found[row.metric].append(row.value)
    return found
"""
MONAI = """
import torch
from monai import metrics as m
def masks_of(reference, prediction, label):
    masks = [(array == label)[None, None].view(np.uint8) for array in (prediction, reference)]
    return [torch.from_numpy(mask) for mask in masks]
"""
USUAL = ("dice", "iou", "precision", "recall", "hd95", "hd95_pooled", "assd", "nsd")
JOBS: dict[str, tuple[tuple[str, ...], str, str]] = {  # name -> our metrics, the tool, its code
    "HD95, max of directed": (
        ("hd95",),
        "MONAI",
        MONAI
        + """
def job(reference, prediction, labels):
    found = [m.compute_hausdorff_distance(
        *masks_of(reference, prediction, n), percentile=95, spacing=spacing, include_background=True)
        for n in labels]
    return {"hd95": [float(value) for value in found]}
""",
    ),
    "HD95, pooled": (
        ("hd95_pooled",),
        "MedPy",
        """
from medpy.metric import binary as m
def job(reference, prediction, labels):
    return {"hd95_pooled": [float(m.hd95(prediction == n, reference == n, spacing)) for n in labels]}
""",
    ),
    "HD95 and NSD by area": (
        ("hd95_area", "nsd_area"),
        "surface-distance",
        """
import surface_distance as m
def job(reference, prediction, labels):
    apart = [m.compute_surface_distances(reference == n, prediction == n, spacing) for n in labels]
    return {
        "hd95_area": [float(m.compute_robust_hausdorff(a, 95)) for a in apart],
        "nsd_area": [float(m.compute_surface_dice_at_tolerance(a, 1.0)) for a in apart],
    }
""",
    ),
    "HD": (
        ("hd",),
        "SimpleITK",
        """
import SimpleITK as itk
def job(reference, prediction, labels):
    images = [itk.GetImageFromArray(array) for array in (reference, prediction)]
    for image in images:
        image.SetSpacing(spacing[::-1])
    found = []
    for n in labels:
        m = itk.HausdorffDistanceImageFilter()
        m.Execute(images[0] == n, images[1] == n)
        found.append(m.GetHausdorffDistance())
    return {"hd": found}
""",
    ),
    "all default measures": (
        USUAL,
        "MONAI",
        MONAI
        + """
def job(reference, prediction, labels):
    found = {name: [] for name in ("dice", "iou", "precision", "recall", "hd95", "assd", "nsd")}
    for n in labels:
        masks = masks_of(reference, prediction, n)
        confusion = m.get_confusion_matrix(*masks, include_background=True)
        values = {
            "dice": m.compute_dice(*masks, include_background=True),
            "iou": m.compute_iou(*masks, include_background=True),
            "precision": m.compute_confusion_matrix_metric("precision", confusion),
            "recall": m.compute_confusion_matrix_metric("recall", confusion),
            "hd95": m.compute_hausdorff_distance(
                *masks, percentile=95, spacing=spacing, include_background=True),
            "assd": m.compute_average_surface_distance(
                *masks, symmetric=True, spacing=spacing, include_background=True),
            "nsd": m.compute_surface_dice(*masks, [1.0], spacing=spacing, include_background=True),
        }
        for name, value in values.items():
            found[name].append(float(value))
    return found
""",
    ),
}


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks evaluation", description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--only", type=int, choices=GRIDS, help="one grid")
    parser.add_argument("--labels", type=int, choices=RADIUS, help="one number of labels")
    given = parser.parse_args(arguments)
    for edge in [given.only] if given.only else GRIDS:
        for count in [given.labels] if given.labels else RADIUS:
            folder = made(given.work, edge, count)
            for name in JOBS:
                print(json.dumps(compared(name, folder, count, given.peer, given.pairs)), flush=True)


def compared(name: str, folder: Path, count: int, peer: Path | None, pairs: int) -> dict[str, object]:
    """One line: medians of both sides, ratios, the largest difference."""
    metrics, tool, code = JOBS[name]
    asked = min(count, SLOW.get(tool, ASKED))
    mine = [
        sys.executable,
        "-c",
        f"METRICS = {metrics}\n{HEAD}{OURS}{TAIL}",
        str(folder),
        str(count),
        str(count),
    ]
    row: dict[str, object] = {"what": name, "grid": folder.parent.name, "labels": count}
    if peer is None:
        done = run(mine)
        return row | {"seconds": round(median(done["seconds"]), 3), "MB": memory(mine, done)}
    theirs = [str(peer), "-c", HEAD + code + TAIL, str(folder), str(count), str(asked)]
    sides = [(run(mine), run(theirs)) for _ in range(pairs)]
    ours, others = (median(median(pair[n]["seconds"]) for pair in sides) for n in (0, 1))
    our_cpu, other_cpu = (median(median(pair[n]["cpu"]) for pair in sides) for n in (0, 1))
    others, other_cpu = others * count / asked, other_cpu * count / asked
    here, there = memory(mine, sides[0][0]), memory(theirs, sides[0][1])
    return row | {
        "tool": tool,
        "asked": asked,
        "seconds": [round(ours, 3), round(others, 3)],
        "ratio": round(others / ours, 1),
        "cpu_ratio": round(other_cpu / our_cpu, 1),
        "MB": [here, there],
        "memory_ratio": [round(there[n] / max(here[n], 1), 1) for n in (0, 1)],
        "largest_difference": largest_difference(sides[0][0]["values"], sides[0][1]["values"], tool),
    }


def run(command: list[str]) -> dict[str, object]:
    """Calls again and again for `LEAST_S`, so that short calls are not a matter of luck."""
    done = subprocess.run([*command, str(LEAST_S)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def memory(command: list[str], done: dict[str, object]) -> list[int]:
    """Peak of a process of its own, and what of it the call took."""
    peak = cost([*command, str(LOOK_S)]).megabytes  # repeated, or a short peak falls between two looks
    return [round(peak), round(max(0.0, peak - float(done["before"])))]  # type: ignore[arg-type]


def largest_difference(ours: dict[str, list[float]], theirs: dict[str, list[float]], tool: str) -> float:
    """Over all measures that both have. More than rounding stops the benchmark.

    SimpleITK's Hausdorff distance is of all voxels, so at most that of borders, and mostly the same. MONAI
    gets false positives as what is left of sums over the grid, in single precision: good to 1e-3.
    """
    found = 0.0
    for name, values in theirs.items():
        for mine, other in zip(ours[name], values, strict=False):
            apart = abs(mine - other) / max(1, abs(other))
            found = max(found, apart)
            is_equal = apart < (1e-3 if (tool, name) == ("MONAI", "precision") else 1e-5)
            if not is_equal and (tool != "SimpleITK" or mine < other):
                raise RuntimeError(f"the values of {name} differ: {mine} and {other}")
    return float(f"{found:.1g}")


def made(work: Path, edge: int, count: int) -> Path:
    """The folder of a pair of label maps."""
    folder = work / f"{edge}" / f"{count}"
    if not (folder / "spacing.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        reference, prediction, grid = organs(edge, count)
        np.save(folder / "reference.npy", reference)
        np.save(folder / "prediction.npy", prediction)
        (folder / "spacing.json").write_text(json.dumps(grid.spacing))
    return folder


def organs(edge: int, count: int) -> tuple[np.ndarray, np.ndarray, Geometry]:
    """Two label maps that agree but for about a voxel along every outline."""
    shape, spacing = GRIDS[edge]
    rng, grid = np.random.default_rng(count), Geometry(shape, np.diag([*spacing, 1.0]))
    extent = np.array(shape) * spacing
    reference, prediction = np.zeros((2, *shape), np.uint8)
    for label in range(1, count + 1):
        radii = extent.min() * RADIUS[count] * rng.uniform(0.7, 1.4, 3)
        centre = 1.3 * radii + rng.uniform(0, 1, 3) * (extent - 2.6 * radii)
        start = np.maximum(0, (centre - 1.3 * radii) / spacing).astype(int)
        stop = np.minimum(shape, (centre + 1.3 * radii) / spacing + 1).astype(int)
        box = Box(tuple(map(int, start)), tuple(map(int, stop)))
        here, size = grid.cropped(box), float(radii.min())
        outline = Ellipsoid(tuple(centre), tuple(radii)).on(here)
        outline = outline + Waves.drawn(rng, length_mm=size, height=0.06 * size).on(here)
        error = Waves.drawn(rng, length_mm=0.6 * size, height=ERROR_MM).on(here)
        reference[box.slices][outline < 0] = label
        prediction[box.slices][outline + error < 0] = label
        if label % 2:  # a piece too many, at a corner of the box
            prediction[box.slices][:3, :3, :2] = label
    return reference, prediction, grid
