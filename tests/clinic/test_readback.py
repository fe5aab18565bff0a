"""Volumes that are read back come from the files of the images, by another rule than those reported."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from clinic_stacks import Stack, blobs, result_of, stacks, write_images
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.clinic import readback, write_rtstruct, write_seg
from delineate.clinic.measurements import thicknesses, volume_ml
from delineate.clinic.readback_reports import VOLUME_SHARE


@settings(max_examples=20)
@given(stacks(), st.integers(0, 99))
def test_volumes_that_are_read_back_are_those_that_are_reported(stack, seed):
    with tempfile.TemporaryDirectory() as name:
        folder = write_images(Path(name) / "series", stack)
        values = blobs(stack.geometry, seed)
        values[0, 0, stack.slices[0]] = 1
        result = result_of(folder, stack, values)
        known = readback.images(folder.iterdir())
        made = [write_seg(result, Path(name) / "seg.dcm"), write_rtstruct(result, Path(name) / "rt.dcm")]
        counters = (readback.count_segments, readback.count_contours)
        for written, count in zip(made, counters, strict=True):
            found = count(written.path, known)
            for finding in result.findings:
                got = found.get(written.numbers[finding.name], readback.Sum()).mm3
                assert got == pytest.approx(volume_ml(result, finding) * 1000, rel=VOLUME_SHARE)


def test_a_lone_slice_is_as_deep_as_it_says_and_uneven_ones_reach_half_the_way(tmp_path):
    lone = Stack(count=1, gap=4.0)
    (plane,) = readback.images(write_images(tmp_path / "a", lone).iterdir()).values()
    assert (plane.depth, plane.pixel_mm3) == (4.0, 4.0)
    uneven = Stack(count=7, missing=(3,), repeated=(0,))
    folder = write_images(tmp_path / "b", uneven)
    depths = sorted(plane.depth for plane in readback.images(folder.iterdir()).values())
    result = result_of(folder, uneven, np.ones(uneven.geometry.shape, np.uint8))
    assert depths == pytest.approx(
        sorted([2.0, *thicknesses(result.series)])
    )  # the first place has two images
