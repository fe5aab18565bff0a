"""Dozens of classes: prepared, learnt for a few steps, segmented, in little memory."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

from delineate.io import read_label_values, read_volume, write_labels, write_volume
from delineate.space import Box, LabelMap, LabelSchema

pytestmark = pytest.mark.slow

SLABS = 4  # of the scan, each a case of its own
MOST_GB = {"train": 3.0, "segment": 1.5}  # of memory; torch alone takes about .4
MEASURED = """
import sys
from delineate.cli import main
try:
    main()
finally:
    with open("/proc/self/status") as status:
        used_kb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(used_kb / 1e6, file=sys.stderr)
"""  # not ru_maxrss: a new process starts with the peak of the one that started it


def measured(*words):
    """A command that succeeded, and the most memory that it took, in GB."""
    command = [sys.executable, "-c", MEASURED, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stderr.split()[-1])


@pytest.fixture(scope="module")
def organs(shared_data, tmp_path_factory):
    """A CT with 61 structures, cut into slabs."""
    source, folder = shared_data / "totalseg", tmp_path_factory.mktemp("data") / "organs"
    scan = read_volume(source / "example_ct.nii.gz")
    labels = read_label_values(source / "example_seg_fast_force_split.nii.gz")
    found = [int(value) for value in np.unique(labels.array) if value]
    table = {"background": 0} | {f"structure {value}": value for value in found}
    schema = LabelSchema.of(*(f"structure {value}" for value in range(1, max(found) + 1)))
    edges = np.linspace(0, scan.geometry.shape[2], SLABS + 1).astype(int)
    for number, (start, stop) in enumerate(itertools.pairwise(edges)):
        box = Box((0, 0, int(start)), (*scan.geometry.shape[:2], int(stop)))
        write_volume(scan.cropped(box), folder / "images" / f"slab_{number}.nii.gz")
        slab = LabelMap(labels.array[box.slices], labels.geometry.cropped(box), schema)
        write_labels(slab, folder / "labels" / f"slab_{number}.nii.gz")
    (folder / "labels.json").write_text(json.dumps(table))
    return folder


@pytest.fixture(scope="module")
def trained(organs, terminal, tmp_path_factory):
    """A run of a few steps, and the most memory that its training took."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = terminal.run("plan", organs, folder, "--minutes", 1, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    used_gb = measured("run", organs, folder, "--steps", 25, "--device", "cpu")
    return folder, used_gb


def test_dozens_of_classes_are_learnt_in_little_memory(trained):
    folder, used_gb = trained
    assert used_gb < MOST_GB["train"]
    (fold,) = (folder / "folds" / "3d_fullres").glob("fold_*")
    rows = [json.loads(line) for line in (fold / "history.jsonl").read_text().splitlines()]
    assert rows[-1]["loss"] < 0.9 * rows[0]["loss"]
    report = json.loads((folder / "evaluation" / "report.json").read_text())
    assert len(report["structures"]) > 50


def test_a_scan_is_segmented_into_dozens_of_classes_in_little_memory(trained, shared_data, tmp_path):
    folder, _ = trained
    scan = shared_data / "totalseg" / "example_ct.nii.gz"
    used_gb = measured("segment", folder / "model", scan, "-o", tmp_path / "labels.nii.gz", "--device", "cpu")
    assert used_gb < MOST_GB["segment"]
    assert read_label_values(tmp_path / "labels.nii.gz").array.shape == (122, 101, 112)
