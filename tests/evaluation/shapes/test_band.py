import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from delineate.errors import GeometryError
from delineate.evaluation.shapes.band import WIDTH_MM, band, boundary_counts
from delineate.evaluation.surface import border
from delineate.space import Geometry

HERE = Path(__file__).parents[1] / "golden"
GOLDEN = json.loads((HERE / "shapes.json").read_text())
MADE = runpy.run_path(str(HERE / "shapes.py"))

SHAPE = (5, 6, 4)
masks = hnp.arrays(bool, SHAPE)
widths = st.sampled_from([0.3, 0.9, 1.0, 1.5, 2.0, 3.2, 7.0])
spacings = st.tuples(*[st.sampled_from([0.5, 0.7, 1.0, 2.5])] * 3)


def sheared(spacing, shape=SHAPE):
    affine = np.diag([*spacing, 1.0])
    affine[0, 1] = 0.4 * spacing[1]
    return Geometry(shape, affine)


def by_hand(mask, known, grid, width_mm):
    """Every voxel against every voxel outside, those around the grid included."""
    outside = np.pad(known & ~mask, [(3, 3) if n > 1 else (0, 0) for n in mask.shape], constant_values=True)
    pad = [3 if n > 1 else 0 for n in mask.shape]
    linear = grid.affine[:3, :3].T
    there = (np.argwhere(outside) - pad) @ linear
    result = np.zeros(mask.shape, bool)
    touching = border(mask & known, known)
    for index in np.argwhere(mask & known):
        near = np.linalg.norm(there - index @ linear, axis=1).min() <= width_mm * (1 + 1e-5)
        result[tuple(index)] = near or touching[tuple(index)]
    return result


@given(masks, masks, spacings, st.sampled_from([0.3, 0.9, 1.0, 1.5]), st.booleans())
@settings(max_examples=60)
def test_a_band_is_what_is_near_the_outside_on_any_grid(mask, known, spacing, width_mm, is_sheared):
    grid = sheared(spacing) if is_sheared else Geometry(SHAPE, np.diag([*spacing, 1.0]))
    assert np.array_equal(band(mask, grid, known, width_mm), by_hand(mask, known, grid, width_mm))


@given(masks, spacings, widths)
@settings(max_examples=40)
def test_a_deeper_band_holds_a_shallower_one_and_the_border_is_always_in_it(mask, spacing, width_mm):
    grid = Geometry(SHAPE, np.diag([*spacing, 1.0]))
    everywhere = np.ones(SHAPE, bool)
    inner = band(mask, grid, width_mm=width_mm)
    assert (border(mask, everywhere) <= inner).all()
    assert (inner <= band(mask, grid, width_mm=1.5 * width_mm)).all()
    assert np.array_equal(band(mask, grid, width_mm=1000), mask)


@pytest.mark.parametrize("seed", GOLDEN["boundary_iou"])
def test_boundary_iou_of_pictures_is_exactly_that_of_its_authors(seed):
    """Their width is 2 % of the diagonal: one erosion by a square here, so every neighbour counts."""
    reference, prediction = (mask[:, :, None] for mask in MADE["blobs"](int(seed)))
    counts = boundary_counts(reference, prediction, Geometry((24, 20, 1), np.eye(4)), width_mm=1.45)
    assert counts.iou() == GOLDEN["boundary_iou"][seed]


@pytest.mark.parametrize(("dimensions", "width_mm"), [(2, 1.45), (3, 1.75)])
@pytest.mark.parametrize("seed", range(10))
def test_boundary_iou_is_that_of_one_erosion_by_a_square_in_any_dimension(seed, dimensions, width_mm):
    """They erode by a square, with nothing around the picture: one step is every neighbour."""
    rng = np.random.default_rng(seed)
    shape = (24, 20, 1) if dimensions == 2 else (16, 14, 12)
    blobs = [
        ndimage.gaussian_filter(rng.random(shape), (2, 2, 2 if dimensions == 3 else 0)) for _ in range(2)
    ]
    square = np.ones((3, 3, 1 if dimensions == 2 else 3), bool)
    reference, prediction = blobs[0] > 0.5, blobs[0] * 0.7 + blobs[1] * 0.3 > 0.5
    ends = [mask & ~ndimage.binary_erosion(mask, square) for mask in (reference, prediction)]
    peer = (ends[0] & ends[1]).sum() / (ends[0] | ends[1]).sum()
    counts = boundary_counts(reference, prediction, Geometry(shape, np.eye(4)), width_mm=width_mm)
    assert counts.iou() == peer


@pytest.mark.parametrize("seed", range(5))
def test_a_width_of_a_voxel_is_the_border_of_metrics_reloaded(seed):
    mask = ndimage.gaussian_filter(np.random.default_rng(seed).random((14, 13, 12)), 1.5) > 0.5
    assert np.array_equal(
        band(mask, Geometry(mask.shape, np.eye(4)), width_mm=1), mask & ~ndimage.binary_erosion(mask)
    )


def test_a_large_structure_hides_its_boundary_in_iou_and_not_in_boundary_iou():
    x, y, z = np.indices((64, 64, 64)) - 31.5
    reference, prediction = x**2 + y**2 + z**2 < 28**2, x**2 + y**2 + z**2 < 26**2
    grid = Geometry((64, 64, 64), np.eye(4))
    assert prediction.sum() / reference.sum() > 0.79
    assert boundary_counts(reference, prediction, grid).iou() < 0.1
    assert WIDTH_MM == 2.0


@given(masks, masks, st.integers(0, 2))
@settings(max_examples=25)
def test_turning_both_masks_changes_nothing(a, b, axis):
    grid = Geometry(SHAPE, np.diag([1.0, 2.0, 0.5, 1.0]))
    turned = np.flip(a, axis), np.flip(b, axis)
    assert boundary_counts(a, b, grid) == boundary_counts(*turned, grid)


def test_a_picture_has_a_boundary_in_its_plane_only():
    picture = np.zeros((9, 9, 1), bool)
    picture[1:8, 1:8] = True
    found = band(picture, Geometry((9, 9, 1), np.eye(4)), width_mm=1)
    assert found.sum() == 7 * 7 - 5 * 5


def test_where_everything_known_is_inside_there_is_no_boundary_but_the_end_of_the_grid():
    full = np.ones((5, 5, 5), bool)
    grid = Geometry((5, 5, 5), np.eye(4))
    assert band(full, grid, width_mm=1).sum() == 5**3 - 3**3
    part = np.zeros_like(full)
    part[2, 2, 2] = True
    assert not band(part, grid, known=part, width_mm=1).any()
    one = Geometry((1, 1, 1), np.eye(4))
    assert not band(np.ones((1, 1, 1), bool), one).any()


def test_empty_masks_have_empty_bands():
    none = np.zeros((4, 4, 4), bool)
    grid = Geometry((4, 4, 4), np.eye(4))
    assert not band(none, grid).any()
    assert boundary_counts(none, none, grid).iou() is None
    assert boundary_counts(none, ~none, grid).iou() == 0


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(GeometryError, match=r"has its shape, got \(3, 4, 4\)"):
        band(np.zeros((3, 4, 4), bool), Geometry((4, 4, 4), np.eye(4)))
