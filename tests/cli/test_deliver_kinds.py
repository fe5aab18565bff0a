"""`delineate deliver`: probabilities, regions and compression, from files."""

import json
import sys
from importlib import util
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import DataError
from delineate.io import write_labels, write_volume
from delineate.space import LabelMap, LabelSchema, Volume


@pytest.fixture
def hospital(tmp_path):
    """A series, labels for it, and probabilities with a channel for background."""
    spec = util.spec_from_file_location("kinds_stacks", Path(__file__).parents[1] / "clinic" / "stacks.py")
    made = util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    stack = made.Stack(columns=10, rows=9, count=5)
    made.write_images(tmp_path / "series", stack)
    grid = stack.geometry
    values = np.zeros(grid.shape, np.uint8)
    values[2:7, 2:6, 1:4], values[7:, :2] = 1, 2
    write_labels(LabelMap(values, grid, LabelSchema.of("liver", "kidney_left")), tmp_path / "labels.nii.gz")
    (tmp_path / "labels.json").write_text(json.dumps({"background": 0, "liver": 1, "kidney_left": 2}))
    soft = np.stack([np.where(values == n, 0.8, 0.1) for n in range(3)]).astype(np.float32)
    write_volume(Volume(soft, grid, ("background", "a", "b")), tmp_path / "p.nii.gz")
    write_volume(Volume(soft[1:], grid, ("a", "b")), tmp_path / "bare.nii.gz")
    write_volume(Volume(soft[:1], grid), tmp_path / "one.nii.gz")
    write_volume(Volume(soft * 100, grid, ("a", "b", "c")), tmp_path / "percent.nii.gz")
    return tmp_path


def invoked(folder, *options):
    paths = ["deliver", str(folder / "labels.nii.gz"), "--series", str(folder / "series")]
    return CliRunner().invoke(app, ["-q", *paths, "-o", str(folder / "out"), *options])


@pytest.mark.parametrize("file", ["p.nii.gz", "bare.nii.gz"])
def test_probabilities_of_a_file_are_delivered(hospital, file):
    given = ("--seg", "--seg-kind", "fractional", "--probabilities", str(hospital / file))
    done = invoked(hospital, *given, "--compress", "rle")
    assert done.exit_code == 0, done.exception or done.output
    content = pydicom.dcmread(hospital / "out" / "seg.dcm")
    assert content.SegmentationFractionalType == "PROBABILITY"
    assert set(np.unique(content.pixel_array).tolist()) == {26, 204}  # 0.1 and 0.8 of 255


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("one.nii.gz", "holds 1 channels; expected one for each structure"),
        ("percent.nii.gz", "no probabilities"),
    ],
)
def test_other_files_are_refused(hospital, file, message):
    done = invoked(hospital, "--seg", "--seg-kind", "fractional", "--probabilities", str(hospital / file))
    assert isinstance(done.exception, DataError)
    assert message in str(done.exception)


def test_probabilities_need_a_fractional_segmentation(hospital):
    done = invoked(hospital, "--seg", "--probabilities", str(hospital / "p.nii.gz"))
    assert "only a fractional SEG holds them" in str(done.exception)


def test_regions_of_the_labels_are_delivered_as_overlapping_segments(hospital):
    table = {"background": 0, "whole tumor": [1, 2], "tumor core": 2, "regions_class_order": [1, 2]}
    (hospital / "labels.json").write_text(json.dumps(table))
    done = invoked(hospital, "--seg", "--rtstruct", "--regions", "--sr")
    assert done.exit_code == 0, done.exception or done.output
    content = pydicom.dcmread(hospital / "out" / "seg.dcm")
    assert [item.SegmentLabel for item in content.SegmentSequence] == ["whole tumor", "tumor core"]
    assert content.SegmentsOverlap == "YES"
    record = json.loads((hospital / "out" / "delivery.json").read_text())
    assert [structure["voxels"] for structure in record["structures"]] == [5 * 4 * 3 + 3 * 2 * 5, 3 * 2 * 5]
