"""The numbers of docs/explanations/people-disagree.md: how many raters, which fusion, which field, how fast.

python benchmarks/raters.py [--data FOLDER]   several raters' label files of one scan, for the speed

Raters are simulated: ellipsoids of known size, drawn by hands that shake (smooth noise of 0.7 voxel along the
border) and that lie further out or in (0.7 voxel from rater to rater).
"""

import argparse
import time
from pathlib import Path

import numpy as np
import SimpleITK
from scipy import ndimage

from delineate.evaluation.raters import FusionRules, Margin, fuse
from delineate.evaluation.raters.ledger import Ledger
from delineate.evaluation.raters.standing import judged as judged_by
from delineate.io import read_label_values
from delineate.space import Geometry, Label, LabelMap, LabelSchema

CASES, SIZE, SHAKE, WAVE = 100, 46, 0.7, 3.0
SAMPLES = 1000
ONE = LabelSchema.of("lesion")


def ellipsoid(rng):
    """Distance from its surface, in voxels."""
    radii = rng.uniform(5, 8, 3)
    place = (np.moveaxis(np.indices((SIZE,) * 3), 0, -1) - SIZE / 2 - rng.uniform(-1, 1, 3)) / radii
    return (np.linalg.norm(place, axis=-1) - 1) * radii.mean()


def drawn(distance, spread, rng):
    noise = ndimage.gaussian_filter(rng.normal(size=distance.shape), WAVE)
    return (distance + SHAKE * noise / noise.std() < rng.normal(0, spread)).astype(np.uint8)


def cohort(spread):
    for case in range(CASES):
        rng = np.random.default_rng([5, case])
        distance = ellipsoid(rng)
        grid = Geometry(distance.shape, np.eye(4))
        yield distance < 0, [LabelMap(drawn(distance, spread, rng), grid, ONE) for _ in range(7)]


def judged(truth, maps, rules):
    found = fuse({str(n): labels for n, labels in enumerate(maps)}, rules).labels(maps[0]).array > 0
    bias = (int(found.sum()) - int(truth.sum())) / truth.sum()
    return 2 * (found & truth).sum() / (found.sum() + truth.sum()), bias, abs(bias)


def line(name, rows):
    dice, bias, error = np.mean(rows, axis=0)
    print(f"| {name} | {dice:.3f} | {100 * bias:+.1f} % | {100 * error:.1f} % |")


def qualities():
    for spread in (0.0, 0.7):
        cases = list(cohort(spread))
        print(f"\nborders {spread:g} voxel further out or in from rater to rater")
        for raters in (1, 2, 3, 5, 7):
            for method in ("majority", "staple"):
                rules = FusionRules(method=method)
                line(f"{raters} | {method}", [judged(truth, maps[:raters], rules) for truth, maps in cases])
        for margin in (0, 1, 2, 5, None):
            rules = FusionRules(margin_mm=margin)
            line(f"5 | staple, margin {margin}", [judged(truth, maps[:5], rules) for truth, maps in cases])


def verdicts():
    """How often a model passes that is worse by exactly the margin, and should in 2.5 % of samples."""
    margin, rng = Margin(), np.random.default_rng(0)

    def failing(patients):
        ordinary, failed = rng.normal(0, 0.03, patients), rng.random(patients) < 0.08
        return np.where(failed, ordinary - 0.4, ordinary) + 0.08 * 0.4 - margin.dice

    draws = {
        "normal": lambda patients: rng.normal(-margin.dice, 0.04, patients),
        "8 % fail": failing,
    }
    for name, drawn in draws.items():
        for patients in (30, 50, 100):
            groups = {str(n): str(n) for n in range(patients)}
            ledger = Ledger.of([], groups, np.random.default_rng(1))
            passed = [judged_by(ledger.widest(drawn(patients)), margin)[0] for _ in range(SAMPLES)]
            print(
                f"{name}, {patients} patients: {100 * np.mean(np.array(passed) == 'NON-INFERIOR'):.1f} % pass"
            )


def equality():
    """In how many random cases of several labels every voxel is as SimpleITK's."""
    schema = LabelSchema(labels=tuple(Label(value=value, name=str(value)) for value in (1, 2, 4)))
    differing = []
    for seed in range(150):
        rng = np.random.default_rng(1000 + seed)
        place = np.linalg.norm(np.moveaxis(np.indices((14, 14, 14)), 0, -1) - 7, axis=-1)
        truth = np.select([place < 2, place < 4, place < 6], [4, 2, 1], 0).astype(np.uint8)
        arrays = []
        for _ in range(rng.integers(2, 7)):
            wrong = rng.random(truth.shape) < rng.uniform(0.01, 0.4)
            moved = np.roll(truth, rng.integers(0, 2), rng.integers(0, 3))
            arrays.append(np.where(wrong, rng.choice([0, 1, 2, 4], truth.shape), moved).astype(np.uint8))
        peer = SimpleITK.MultiLabelSTAPLEImageFilter()
        peer.SetLabelForUndecidedPixels(0)
        peer.SetTerminationUpdateThreshold(1e-7)
        images = [SimpleITK.GetImageFromArray(np.ascontiguousarray(array.T)) for array in arrays]
        expected = SimpleITK.GetArrayFromImage(peer.Execute(images)).T
        maps = {str(n): LabelMap(a, Geometry(a.shape, np.eye(4)), schema) for n, a in enumerate(arrays)}
        found = fuse(maps, FusionRules(margin_mm=None)).labels(maps["0"]).array
        differing.append(int((found != expected).sum()))
    print(
        f"voxels that differ from SimpleITK: {sorted(differing)[-3:]} in the worst of {len(differing)} cases"
    )


def best_of_three(work):
    times = []
    for _ in range(3):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def speed(folder):
    arrays = [read_label_values(file).array.astype(np.uint8) for file in sorted(folder.glob("*.nii.gz"))]
    grid = Geometry(arrays[0].shape, np.eye(4))
    values = sorted({int(value) for array in arrays for value in np.unique(array)} - {0})
    several = LabelSchema(labels=tuple(Label(value=value, name=str(value)) for value in values))
    binary = [(array > 0).astype(np.uint8) for array in arrays]
    itk = {False: SimpleITK.STAPLEImageFilter(), True: SimpleITK.MultiLabelSTAPLEImageFilter()}
    itk[True].SetLabelForUndecidedPixels(0)
    print(f"\n{len(arrays)} raters, {grid!r}")
    for many, given, schema in ((False, binary, ONE), (True, arrays, several)):
        maps = {str(n): LabelMap(array, grid, schema) for n, array in enumerate(given)}
        rules = FusionRules(margin_mm=None)
        ours = best_of_three(lambda: fuse(maps, rules).labels(maps["0"]))  # noqa: B023
        images = [SimpleITK.GetImageFromArray(array) for array in given]
        start = time.perf_counter()
        itk[many].Execute(images)
        theirs = time.perf_counter() - start
        what = "several labels" if many else "one label"
        print(f"| {what} | {ours:.3f} s | {theirs:.2f} s | {theirs / ours:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    folder = parser.parse_args().data
    qualities()
    verdicts()
    equality()
    if folder:
        speed(folder)
