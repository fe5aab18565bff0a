"""Surfaces are closed, look outward, and hold the volume of their voxels, however the slices lie."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from clinic_stacks import Stack, blobs, result_of, stacks, write_images
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.clinic import surfaces
from delineate.clinic.agreement import _centre
from delineate.clinic.measurements import volume_ml
from delineate.clinic.readback_meshes import _solid
from delineate.clinic.surface import VOLUME_SHARE, surface_of


def result_on(folder, stack, values):
    return result_of(write_images(Path(folder) / "series", stack), stack, values)


@settings(max_examples=25)
@given(stacks(), st.integers(0, 99), st.sampled_from([0.02, 0.3, 0.9]), st.sampled_from([0, 10, 40]))
def test_every_surface_is_closed_and_holds_the_volume_of_its_voxels(stack, seed, density, smoothing):
    values = blobs(stack.geometry, seed, density)
    if not values[:, :, stack.slices].any():
        values[:] = 1
    with tempfile.TemporaryDirectory() as folder:
        result = result_on(folder, stack, values)
        side = max(*result.series.spacing, result.series.gap)
        for finding in result.findings:
            found = surface_of(result, finding, smoothing=smoothing)
            if result.part(finding) is None:
                assert found is None
                continue
            solid = _solid(Path(folder), finding.name, found.corners, found.triangles)  # refuses open ones
            volume = volume_ml(result, finding) * 1000
            assert solid.volume_mm3 == pytest.approx(volume, rel=VOLUME_SHARE)
            assert found.volume_mm3 == pytest.approx(solid.volume_mm3)
            assert np.linalg.norm(np.subtract(solid.centre, _centre(result, finding))) < side


def test_one_voxel_has_a_surface_about_its_centre(tmp_path):
    stack = Stack(spacing=(0.5, 0.8), gap=3.0)
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[0, 6, 4] = 1  # in a corner of the last slice
    result = result_on(tmp_path, stack, values)
    for smoothing in (0, 10):
        found = surface_of(result, result.findings[0], smoothing=smoothing)
        assert len(found.triangles) == 8
        assert found.volume_mm3 == pytest.approx(0.5 * 0.8 * 3, rel=VOLUME_SHARE)
        assert found.corners.mean(axis=0) == pytest.approx([0, 6 * 0.8, 4 * 3.0])
        across = 2 * (3 / 4) ** (1 / 3)  # of an octahedron with the volume of a cube
        assert np.ptp(found.corners, axis=0) == pytest.approx(across * np.array([0.5, 0.8, 3]), rel=1e-3)


def ball(stack, radius_mm):
    grid = stack.geometry
    index = np.stack(np.meshgrid(*map(np.arange, grid.shape), indexing="ij"), axis=-1).astype(float)
    centre = grid.to_world(np.array(grid.shape) / 2)
    far = np.linalg.norm(grid.to_world(index) - centre, axis=-1)
    return (far < radius_mm).astype(np.uint8), centre * (-1, -1, 1)


@pytest.mark.parametrize("lean", [(0.0, 0.0), (0.3, 0.0)])
def test_the_surface_of_a_ball_is_a_sphere_and_smoothing_brings_it_nearer(tmp_path, lean):
    stack = Stack(columns=40, rows=40, count=20, spacing=(1.0, 1.0), gap=2.0, lean=lean)
    values, centre = ball(stack, 14)
    result = result_on(tmp_path, stack, values)
    off = []
    for smoothing in (0, 10):
        found = surface_of(result, result.findings[0], smoothing=smoothing)
        off.append(np.abs(np.linalg.norm(found.corners - centre, axis=1) - 14).mean())
        outward = ((found.corners - centre) * found.normals).sum(axis=1)
        assert (outward > 0).all()
    assert off[1] < off[0] < 0.4
    assert off[1] < 0.3


def test_a_hole_is_a_surface_of_its_own_and_what_lies_in_it_is_another_piece(tmp_path):
    stack = Stack(columns=30, rows=30, count=30, gap=1.0)
    outer, centre = ball(stack, 12)
    outer[ball(stack, 7)[0] > 0] = 0
    outer[ball(stack, 3)[0] > 0] = 1
    result = result_on(tmp_path, stack, outer)
    found = surface_of(result, result.findings[0])
    far = np.linalg.norm(found.corners - centre, axis=1)
    for radius, way in ((12, 1), (7, -1), (3, 1)):
        shell = np.abs(far - radius) < 1.5
        outward = ((found.corners - centre) * found.normals).sum(axis=1)[shell]
        assert (np.sign(outward) == way).all()
    assert found.volume_mm3 == pytest.approx(outer.sum(), rel=VOLUME_SHARE)


def test_smoothing_moves_no_corner_far_and_loses_no_piece(tmp_path):
    stack = Stack(columns=30, rows=20, count=8)
    values = np.zeros(stack.geometry.shape, np.uint8)
    values[2:12, 3:15, 1:6] = 1
    values[20, 5, 3] = 1
    values[24:28, 10, 4] = 1
    result = result_on(tmp_path, stack, values)
    sharp, smooth = (surfaces(result, smoothing=pairs)["liver"] for pairs in (0, 100))
    assert np.array_equal(sharp.triangles, smooth.triangles)
    island = sharp.corners[:, 0] > 18.5
    assert np.linalg.norm((smooth.corners - sharp.corners), axis=1)[~island].max() < 1.5
    assert smooth.corners[island].mean(axis=0) == pytest.approx(sharp.corners[island].mean(axis=0), abs=0.3)
    assert repr(smooth) == f"Surface({len(smooth.triangles)} triangles, 1.21 ml)"
