import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from delineate.errors import GeometryError
from delineate.evaluation.shapes import Diameter
from delineate.evaluation.shapes.diameter import slice_axis
from delineate.space import Geometry
from delineate.space.phantoms import Ellipsoid

SHAPE = (6, 5, 4)
masks = hnp.arrays(bool, SHAPE)
SIDES = [(0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)]


def oblique(seed, shape=SHAPE):
    """A turned and sheared grid of random spacing, its axes in any order and direction."""
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    affine[:3, :3] = turn @ np.diag(rng.uniform(0.5, 3, 3)) + rng.normal(0, 0.05, (3, 3))
    affine[:3, 3] = rng.uniform(-100, 100, 3)
    return Geometry(shape, affine)


def outlines(mask, grid):
    """World places of the middles of all sides of all voxels of each piece of each slice."""
    axis = slice_axis(grid)
    for number in range(mask.shape[axis]):
        pieces, count = ndimage.label(mask.take(number, axis=axis), np.ones((3, 3)))
        for piece in range(1, count + 1):
            flat = np.concatenate([np.argwhere(pieces == piece) + side for side in SIDES])
            yield grid.to_world(np.insert(flat, axis, number, axis=1))


@given(masks, st.integers(0, 10_000))
@settings(max_examples=80)
def test_the_longest_diameter_is_the_largest_distance_of_all_pairs(mask, seed):
    grid = oblique(seed)
    found = Diameter.of(mask, grid)
    if not mask.any():
        assert found is None
        return
    assert found.long_mm == pytest.approx(max(pdist(places).max() for places in outlines(mask, grid)))


def across_by_hand(places):
    """The longest chord of a hull at right angles to its diameter, of many chords."""
    first, last = divmod(int(squareform(pdist(places)).argmax()), len(places))
    first, along = places[first], places[last] - places[first]
    along /= np.linalg.norm(along)
    flat = np.linalg.svd(places - places.mean(axis=0))[2][:2]  # the plane of the slice
    u = flat @ along
    hull = (places - first) @ flat.T
    hull = hull[ConvexHull(hull).vertices]
    t, w = hull @ u, hull @ np.array([-u[1], u[0]])
    best = 0.0
    for place in np.linspace(0, t.max(), 1500):
        crossings = []
        for a in range(len(hull)):
            b = (a + 1) % len(hull)
            if min(t[a], t[b]) <= place <= max(t[a], t[b]) and t[a] != t[b]:
                crossings.append(w[a] + (place - t[a]) / (t[b] - t[a]) * (w[b] - w[a]))
        if crossings:
            best = max(best, max(crossings) - min(crossings))
    return best


@pytest.mark.parametrize("seed", range(8))
def test_the_short_axis_is_the_longest_chord_at_right_angles(seed):
    grid = oblique(seed, (14, 13, 12))
    mask = ndimage.gaussian_filter(np.random.default_rng(seed).random(grid.shape), 2) > 0.505
    found = Diameter.of(mask, grid)
    # Equally long lines may be in several slices: that with the wider piece is taken.
    longest = [p for p in outlines(mask, grid) if pdist(p).max() == pytest.approx(found.long_mm)]
    assert found.short_mm == pytest.approx(max(across_by_hand(p) for p in longest), rel=2e-3)
    right_angle = np.diff(found.long_ends, axis=0) @ np.diff(found.short_ends, axis=0).T
    assert abs(right_angle.item()) < 1e-8 * found.product_mm2
    assert found.product_mm2 == pytest.approx(found.long_mm * found.short_mm)


@given(masks, st.integers(0, 10_000))
@settings(max_examples=40)
def test_both_lines_lie_in_the_slice_that_is_named(mask, seed):
    grid = oblique(seed)
    found = Diameter.of(mask, grid)
    if found is not None:
        for ends in (found.long_ends, found.short_ends):
            assert grid.to_index(ends)[:, found.axis] == pytest.approx(found.slice, abs=1e-6)
        assert found.short_mm <= found.long_mm * (1 + 1e-9)


@given(masks, st.sampled_from(["LPS", "SAR", "ARS", "RIP"]))
@settings(max_examples=40)
def test_turning_the_axes_of_a_scan_changes_nothing(mask, orientation):
    from delineate.space import LabelMap, LabelSchema

    grid = Geometry(SHAPE, np.diag([0.7, 1.1, 4.0, 1.0]))
    turned = LabelMap(mask.astype(np.uint8), grid, LabelSchema.of("x")).reoriented(orientation)
    one, other = Diameter.of(mask, grid), Diameter.of(turned.array == 1, turned.geometry)
    assert (one is None) == (other is None)
    if one is not None:
        assert (other.long_mm, other.short_mm) == pytest.approx((one.long_mm, one.short_mm))


@pytest.mark.parametrize("tilt_deg", [0, 12, 30])
@pytest.mark.parametrize("radii", [(15.0, 15.0, 15.0), (20.0, 12.0, 9.0)])
def test_an_ellipsoid_measures_what_it_is(radii, tilt_deg):
    """Turned about the left-right axis, slices across k cut it obliquely; the first axis stays in them."""
    angle = math.radians(tilt_deg)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    affine[:3, 3] = affine[:3, :3] @ np.full(3, -31.3)
    grid = Geometry((64, 64, 64), affine)
    found = Diameter.of(Ellipsoid((0.0, 0.0, 0.0), radii).on(grid) < 0, grid)
    # The largest slice is the one through the centre: an ellipse with this second half-axis.
    short = 1 / math.hypot(math.cos(angle) / radii[1], math.sin(angle) / radii[2])
    assert found.long_mm == pytest.approx(2 * radii[0], abs=1)
    assert found.short_mm == pytest.approx(2 * short, abs=1)


def test_one_voxel_is_a_voxel_long():
    mask = np.zeros((5, 5, 5), bool)
    mask[2, 2, 2] = True
    found = Diameter.of(mask, Geometry((5, 5, 5), np.diag([0.5, 2.0, 7.0, 1.0])))
    assert (found.long_mm, found.short_mm) == pytest.approx((2.0, 0.5))
    assert (found.axis, found.slice) == (2, 2)


def test_a_square_is_measured_along_a_diagonal_and_a_disc_anywhere():
    mask = np.zeros((20, 20, 1), bool)
    mask[4:14, 4:14] = True
    found = Diameter.of(mask, Geometry((20, 20, 1), np.eye(4)))
    assert found.long_mm == pytest.approx(math.hypot(10, 9))
    assert found.short_mm <= found.long_mm


def test_two_pieces_in_a_slice_are_not_one_long_lesion():
    mask = np.zeros((30, 10, 3), bool)
    mask[2:6, 4, 1] = True
    mask[20:26, 4, 1] = True
    assert Diameter.of(mask, Geometry(mask.shape, np.eye(4))).long_mm == pytest.approx(6)


def test_pieces_that_touch_at_a_corner_are_one():
    mask = np.zeros((8, 8, 1), bool)
    mask[1:4, 1:4] = True
    mask[4:7, 4:7] = True
    assert Diameter.of(mask, Geometry((8, 8, 1), np.eye(4))).long_mm > 7


@pytest.mark.parametrize(
    ("shape", "affine", "axis"),
    [
        ((9, 9, 9), np.diag([1.0, 1.0, 5.0, 1.0]), 2),
        ((9, 9, 9), np.eye(4)[[2, 0, 1, 3]], 1),
        ((1, 9, 9), np.eye(4), 0),  # a sagittal picture
        ((9, 9, 1), np.eye(4), 2),
        ((1, 9, 1), np.eye(4), 2),
        ((1, 1, 1), np.eye(4), 2),
    ],
)
def test_slices_are_axial_unless_there_is_but_one(shape, affine, axis):
    assert slice_axis(Geometry(shape, affine)) == axis
    assert Diameter.of(np.ones(shape, bool), Geometry(shape, affine)).axis == axis


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(GeometryError, match=r"has its shape, got \(3, 4, 4\)"):
        Diameter.of(np.zeros((3, 4, 4), bool), Geometry((4, 4, 4), np.eye(4)))
