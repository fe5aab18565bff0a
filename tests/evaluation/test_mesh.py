"""Meshes: constructions with known answers, brute force, laws; MeshMetrics' own numbers are in measures/."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from delineate.errors import GeometryError
from delineate.evaluation import mesh_distances
from delineate.evaluation.mesh import Table, to_mesh, to_pieces
from delineate.evaluation.surface import corner_codes, element_areas
from delineate.space import Geometry


def grid_of(shape, spacing=(1.0, 1.0, 1.0)):
    return Geometry(shape, np.diag([*spacing, 1.0]))


def box(start, stop, shape=(16, 16, 16)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


def blob_pair(seed, shape=(9, 8, 7)):
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=shape), 1.2) for _ in range(2)]
    return fields[0] > 0.05, fields[0] + 0.5 * fields[1] > 0.08


def numbers(apart):
    return [
        apart.hausdorff(),
        apart.percentile_weighted(),
        apart.pooled_mean(),
        apart.mean_of_directed(),
        apart.from_reference.mean(),
        apart.from_prediction.mean(),
    ]


def mesh_of(mask, grid):
    codes = corner_codes(mask)
    return Table.on(grid, codes.shape).mesh(codes).pieces()


def area(pieces):
    return (
        np.linalg.norm(np.cross(pieces[:, 1] - pieces[:, 0], pieces[:, 2] - pieces[:, 0]), axis=1).sum() / 2
    )


# --- one point, one piece

TRIANGLE = np.array([[0.0, 0, 0], [4, 0, 0], [0, 4, 0]])


@pytest.mark.parametrize(
    ("point", "distance"),
    [
        ((1, 1, 3), 3),  # above the inside
        ((1, 1, 0), 0),  # on it
        ((2, -2, 0), 2),  # beside an edge
        ((-3, -4, 0), 5),  # beyond a corner
        ((4, 4, 0), math.sqrt(8)),  # beside the slanted edge
        ((5, -1, 1), math.sqrt(3)),  # beyond a corner and above
    ],
)
def test_the_distance_of_a_point_to_a_triangle(point, distance):
    turned = TRIANGLE[[1, 2, 0]][::-1]  # either side up
    for triangle in (TRIANGLE, turned):
        assert to_pieces(np.array([point], float), triangle[None]) == pytest.approx([distance])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_no_point_of_a_piece_is_nearer_than_its_distance(seed):
    rng = np.random.default_rng(seed)
    piece, point = rng.normal(size=(rng.integers(2, 4), 3)), rng.normal(size=3) * 2
    shares = rng.dirichlet(np.ones(len(piece)), 4000)
    sampled = np.linalg.norm(shares @ piece - point, axis=1).min()
    found = to_pieces(point[None], piece[None])[0]
    assert found - 1e-12 <= sampled <= found + 0.3


# --- meshes


@given(st.integers(0, 2**32 - 1), st.floats(0.2, 6))
@settings(max_examples=30, deadline=None)
def test_the_distance_to_a_mesh_is_that_of_trying_every_piece(seed, thickness):
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = np.diag([0.7, 1.1, thickness]) + rng.uniform(-0.1, 0.1, (3, 3))  # sheared
    mask, _ = blob_pair(seed)
    if not mask.any():
        return
    pieces = mesh_of(mask, Geometry(mask.shape, affine))
    points = rng.normal(scale=8, size=(40, 3))
    tried = [to_pieces(np.tile(point, (len(pieces), 1)), pieces).min() for point in points]
    assert to_mesh(points, pieces) == pytest.approx(tried, abs=1e-9)


def test_the_mesh_of_a_box_is_closed_and_bevelled():
    pieces = mesh_of(box((4, 4, 4), (12, 12, 12)), grid_of((16, 16, 16)))
    # Six faces of 7 x 7 between voxel centres, 12 bevelled edges and 8 corners.
    assert area(pieces) == pytest.approx(6 * 49 + 12 * 7 * math.sqrt(0.5) + 8 * math.sqrt(3) / 8)
    normals = np.cross(pieces[:, 1] - pieces[:, 0], pieces[:, 2] - pieces[:, 0])
    assert normals.sum(axis=0) == pytest.approx([0, 0, 0], abs=1e-9)


def test_a_mask_that_fills_the_grid_has_a_closed_mesh_half_a_voxel_outside():
    pieces = mesh_of(np.ones((3, 4, 5), bool), grid_of((3, 4, 5)))
    assert pieces.reshape(-1, 3).min(axis=0).tolist() == [0.5] * 3  # counted from the padding
    assert pieces.reshape(-1, 3).max(axis=0).tolist() == [3.5, 4.5, 5.5]


def test_areas_are_those_of_surface_elements_where_no_cube_is_ambiguous():
    mask = box((4, 5, 6), (12, 11, 13))
    grid = grid_of(mask.shape, (0.7, 1.3, 2.5))
    assert area(mesh_of(mask, grid)) == pytest.approx(element_areas(grid)[corner_codes(mask)].sum())


def test_a_box_in_a_box_is_as_far_as_its_faces():
    outer, inner = box((2, 2, 2), (14, 14, 14)), box((5, 5, 5), (11, 11, 11))
    apart = mesh_distances(outer, inner, grid_of(outer.shape, (1.0, 1.0, 1.0)))
    assert apart.from_prediction.distances.min() == pytest.approx(3)
    assert apart.from_prediction.distances.max() == pytest.approx(3 + 1 / 3)  # of a bevelled corner
    assert apart.within(2.99) == 0
    assert apart.from_prediction.within(3.4) == 1


def test_a_shift_moves_a_face_by_what_it_is_wherever_voxels_are():
    one, other = box((4, 4, 4), (12, 12, 10)), box((4, 4, 6), (12, 12, 12))
    apart = mesh_distances(one, other, grid_of(one.shape, (1.0, 1.0, 2.5)))
    assert apart.hausdorff() == pytest.approx(5)


def test_balls_of_two_radii_are_the_difference_apart():
    place = np.indices((56, 56, 56)) - 27.5
    radius = np.sqrt((place**2).sum(axis=0)) * 0.8
    apart = mesh_distances(radius < 18, radius < 14, grid_of((56,) * 3, (0.8,) * 3))
    assert apart.pooled_mean() == pytest.approx(4, abs=0.2)  # steps of voxels reach out
    assert apart.percentile_weighted() == pytest.approx(4, abs=0.5)


def test_in_a_picture_contours_are_lines_of_a_length():
    one, other = box((4, 4, 0), (9, 9, 1), (16, 16, 1)), box((6, 4, 0), (11, 9, 1), (16, 16, 1))
    grid = grid_of(one.shape, (2.0, 1.0, 9.0))
    apart = mesh_distances(one, other, grid)
    assert apart.hausdorff() == pytest.approx(4)
    assert apart.from_reference.weight == pytest.approx(2 * 8 + 2 * 4 + 4 * math.sqrt(1.25))
    for axis in (0, 1):  # whichever axis is flat
        turned = [np.moveaxis(mask, 2, axis) for mask in (one, other)]
        spacing = [2.0, 1.0]
        spacing.insert(axis, 9.0)
        assert numbers(mesh_distances(*turned, grid_of(turned[0].shape, spacing))) == pytest.approx(
            numbers(apart)
        )


def test_pixels_that_touch_by_a_corner_have_contours_of_their_own():
    both = np.zeros((6, 6, 1), bool)
    both[2, 2] = both[3, 3] = True
    one = np.zeros_like(both)
    one[2, 2] = True
    lines = [mesh_of(mask, grid_of(both.shape)) for mask in (both, one)]
    assert [len(some) for some in lines] == [8, 4]


# --- degenerate masks


def test_one_voxel_and_itself_are_no_distance_apart():
    one = box((1, 2, 3), (2, 3, 4), (4, 4, 4))
    apart = mesh_distances(one, one, grid_of(one.shape))
    assert apart.hausdorff() == 0
    assert apart.within(1e-9) == 1
    assert apart.from_reference.weight == pytest.approx(math.sqrt(3))  # an octahedron


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 7), (5, 1, 1)])
def test_a_line_of_voxels_has_ends(shape):
    full, first = np.ones(shape, bool), np.zeros(shape, bool)
    first[0, 0, 0] = True
    apart = mesh_distances(full, first, grid_of(shape, (2.0, 2.0, 2.0)))
    if max(shape) == 1:
        assert apart is None  # a voxel that is the whole scan has no outside
    else:
        assert apart.hausdorff() == pytest.approx(2 * (max(shape) - 1))


def test_there_is_no_distance_to_an_empty_mask():
    full, empty = box((4, 4, 4), (12, 12, 12)), np.zeros((16, 16, 16), bool)
    for pair in ((full, empty), (empty, full), (empty, empty)):
        assert mesh_distances(*pair, grid_of(full.shape)) is None


def test_masks_that_are_not_on_their_grid_are_refused():
    full = box((4, 4, 4), (12, 12, 12))
    with pytest.raises(GeometryError, match=r"have its shape, got \(16, 16, 16\) and \(15, 16, 16\)"):
        mesh_distances(full, full[1:], grid_of(full.shape))


# --- laws

pairs = st.tuples(st.integers(0, 2**32 - 1), st.tuples(*[st.floats(0.4, 4)] * 3))


@given(pairs, st.permutations(range(3)), st.tuples(*[st.booleans()] * 3), st.tuples(*[st.integers(0, 3)] * 3))
@settings(max_examples=25, deadline=None)
def test_moving_changes_nothing_and_turning_only_how_ambiguous_cubes_are_cut(drawn, order, flips, shift):
    seed, spacing = drawn
    masks = blob_pair(seed)
    if not all(mask.any() for mask in masks):
        return
    before = numbers(mesh_distances(*masks, grid_of(masks[0].shape, spacing)))

    def moved(mask):
        return np.pad(mask, [(s, 3 - s) for s in shift])

    after = numbers(mesh_distances(*map(moved, masks), grid_of(moved(masks[0]).shape, spacing)))
    assert after == pytest.approx(before, abs=1e-9)
    turned = [
        np.flip(mask, [axis for axis, flip in enumerate(flips) if flip]).transpose(order) for mask in masks
    ]
    after = numbers(mesh_distances(*turned, grid_of(turned[0].shape, [spacing[axis] for axis in order])))
    assert after == pytest.approx(before, rel=0.1, abs=0.15 * max(spacing))


@given(pairs, st.floats(0.1, 10))
@settings(max_examples=25, deadline=None)
def test_distances_grow_with_the_voxels_and_do_not_ask_who_is_the_reference(drawn, scale):
    seed, spacing = drawn
    masks = blob_pair(seed)
    if not all(mask.any() for mask in masks):
        return
    grid, larger = grid_of(masks[0].shape, spacing), grid_of(masks[0].shape, [scale * s for s in spacing])
    apart, grown = mesh_distances(*masks, grid), mesh_distances(*masks, larger)
    assert numbers(grown) == pytest.approx([scale * value for value in numbers(apart)], rel=1e-7, abs=1e-9)
    assert numbers(mesh_distances(*masks[::-1], grid))[:4] == pytest.approx(numbers(apart)[:4])


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_a_turned_patient_has_the_same_distances(seed):
    masks = blob_pair(seed)
    if not all(mask.any() for mask in masks):
        return
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    straight = np.diag([0.8, 1.0, 3.0, 1.0])
    oblique = straight.copy()
    oblique[:3, :3] = turn @ straight[:3, :3]
    oblique[:3, 3] = [100, -40, 7]
    apart = [mesh_distances(*masks, Geometry(masks[0].shape, affine)) for affine in (straight, oblique)]
    assert numbers(apart[0]) == pytest.approx(numbers(apart[1]), abs=1e-9)
