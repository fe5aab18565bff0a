"""Surface distances: the golden table, a brute-force oracle, MONAI, and laws."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from delineate.errors import GeometryError
from delineate.evaluation import area_distances, border_distances, mesh_distances
from delineate.evaluation.overlap import Confusion
from delineate.evaluation.surface import border, corner_codes, element_areas
from delineate.space import Geometry
from delineate.space.phantoms import Ellipsoid, Waves


def grid_of(shape, spacing=(1.0, 1.0, 1.0)):
    return Geometry(shape, np.diag([*spacing, 1.0]))


def box(start, stop, shape=(32, 32, 32)):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


def ball(centre, radius, n=48):
    place = np.indices((n, n, n)).astype(float) - np.array(centre)[:, None, None, None]
    return (place**2).sum(axis=0) <= radius**2


CUBE = box((8, 8, 8), (18, 18, 18))
STRAY = CUBE.copy()
STRAY[28, 28, 28] = True
BALLS = ball((23.5, 23.5, 23.5), 15), ball((23.5, 23.5, 25.5), 14)
SQUARES = box((4, 4, 0), (9, 9, 1), (16, 16, 1)), box((5, 4, 0), (10, 9, 1), (16, 16, 1))
SHIFTED, SMALLER = box((8, 8, 10), (18, 18, 20)), box((9, 9, 9), (17, 17, 17))

# Measured with MedPy (pooled), MONAI (max of directed) and DeepMind's surface-distance (by area).
# masks, spacing, tolerance, then: Dice, HD, HD95 pooled, HD95 max of directed, ASSD, MASD, NSD of border
# voxels; HD95, mean from reference, mean from prediction and NSD by area
GOLDEN = {
    "A": (
        (CUBE, SHIFTED), (1, 1, 1), 1,
        (0.8, 2, 2, 2, 0.688525, 0.688525, 0.721311), (2, 0.679795, 0.679795, 0.722882),
    ),
    "A2": (
        (CUBE, SHIFTED), (3, 1, 0.5), 1,
        (0.8, 1, 1, 1, 0.372951, 0.372951, 1), (1, 0.590234, 0.590234, 1),
    ),
    "B": (
        (CUBE, STRAY), (1, 1, 1), 1,
        (0.999500, 19.052559, 0, 0, 0.019501, 0.019481, 0.998976), (0, 0, 0.055712, 0.998467),
    ),
    "C": (
        (CUBE, SMALLER), (1, 1, 1), 1,
        (0.677249, 1.732051, 1.414214, 1.414214, 1.058190, 1.046743, 0.867347),
        (1.414214, 1.058324, 1, 0.915038),
    ),
    "C2": (
        (CUBE, SMALLER), (5, 1, 1), 1,
        (0.677249, 5.196152, 5.099020, 5.099020, 2.190257, 2.030543, 0.612245),
        (5.099020, 1.706254, 1.126610, 0.831338),
    ),
    "D": (
        BALLS, (1, 1, 1), 2,
        (0.869162, 3.162278, 2.828427, 3.000000, 1.276397, 1.270678, 0.762357),
        (2.828427, 1.059662, 0.915084, 0.853208),
    ),
    "E": (
        SQUARES, (1, 1, 1), 1,
        (0.8, 1, 1, 1, 0.5, 0.5, 1), (1, 0.5, 0.5, 1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOLDEN)
def test_the_golden_table_of_published_tools(name):
    (reference, prediction), spacing, tolerance, by_border, by_area = GOLDEN[name]
    grid = grid_of(reference.shape, spacing)
    apart = border_distances(reference, prediction, grid)
    assert (
        Confusion.of(reference, prediction).dice(),
        apart.hausdorff(),
        apart.percentile_pooled(),
        apart.percentile_directed(),
        apart.pooled_mean(),
        apart.mean_of_directed(),
        apart.within(tolerance),
    ) == pytest.approx(by_border, abs=1e-6)
    apart = area_distances(reference, prediction, grid)
    assert (
        apart.percentile_weighted(),
        apart.from_reference.mean(),
        apart.from_prediction.mean(),
        apart.within(tolerance),
    ) == pytest.approx(by_area, abs=1e-6)


# --- oracles

blobs = st.tuples(st.integers(0, 2**32 - 1), st.tuples(*[st.floats(0.3, 5)] * 3))


def blob_pair(seed, shape=(14, 11, 9)):
    rng = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(rng.normal(size=shape), 1.2) for _ in range(2)]
    return fields[0] > 0.05, fields[0] + 0.5 * fields[1] > 0.08


def brute_force(here, there, linear):
    a, b = np.argwhere(here) @ linear.T, np.argwhere(there) @ linear.T
    return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1)).min(axis=1)


@given(blobs)
@settings(max_examples=40, deadline=None)
def test_distances_are_those_of_trying_all_pairs_on_any_grid(drawn):
    seed, spacing = drawn
    reference, prediction = blob_pair(seed, (8, 7, 6))
    rng = np.random.default_rng(seed)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing) + rng.uniform(-0.1, 0.1, (3, 3))  # oblique, sheared
    grid = Geometry(reference.shape, affine)
    apart = border_distances(reference, prediction, grid)
    if apart is None:
        assert not reference.any() or not prediction.any()
        return
    known = np.ones_like(reference)
    ends = border(reference, known), border(prediction, known)
    assert np.allclose(apart.from_reference.distances, brute_force(*ends, affine[:3, :3]), atol=1e-9)
    assert np.allclose(apart.from_prediction.distances, brute_force(*ends[::-1], affine[:3, :3]), atol=1e-9)


@given(hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, min_side=2, max_side=6)))
@settings(max_examples=60, deadline=None)
def test_the_border_is_the_mask_without_its_erosion(mask):
    expected = mask ^ ndimage.binary_erosion(mask)
    assert np.array_equal(border(mask, np.ones_like(mask)), expected)


@pytest.mark.parametrize("seed", range(50))
def test_percentiles_and_means_are_those_of_the_distance_transform(seed):
    reference, prediction = blob_pair(seed)
    spacing = np.random.default_rng(seed).uniform(0.5, 4, 3)
    apart = border_distances(reference, prediction, grid_of(reference.shape, spacing))
    ends = [mask ^ ndimage.binary_erosion(mask) for mask in (reference, prediction)]
    there, back = (
        ndimage.distance_transform_edt(~end, sampling=spacing)[other]
        for end, other in ((ends[1], ends[0]), (ends[0], ends[1]))
    )
    assert apart.percentile_pooled() == pytest.approx(np.percentile([*there, *back], 95), abs=1e-9)
    assert apart.percentile_directed() == pytest.approx(
        max(np.percentile(there, 95), np.percentile(back, 95)), abs=1e-9
    )
    assert apart.pooled_mean() == pytest.approx(np.mean([*there, *back]), abs=1e-9)
    assert apart.mean_of_directed() == pytest.approx((there.mean() + back.mean()) / 2, abs=1e-9)


@pytest.fixture(scope="module")
def monai_metrics():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("monai.metrics")


@pytest.mark.parametrize("seed", range(50))
def test_every_definition_equals_that_of_monai_on_random_blobs(monai_metrics, seed):
    import torch

    reference, prediction = blob_pair(seed)
    spacing = tuple(np.random.default_rng(seed).uniform(0.5, 4, 3).tolist())
    grid = grid_of(reference.shape, spacing)
    r, p = (torch.from_numpy(m[None, None].astype(np.float32)) for m in (reference, prediction))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        hd, hd95 = (
            float(monai_metrics.compute_hausdorff_distance(p, r, percentile=q, spacing=spacing))
            for q in (None, 95)
        )
        asd = float(monai_metrics.compute_average_surface_distance(p, r, symmetric=True, spacing=spacing))
        nsd, nsd_area = (
            float(monai_metrics.compute_surface_dice(p, r, [1.5], spacing=spacing, use_subvoxels=s))
            for s in (False, True)
        )
    apart, by_area = (
        border_distances(reference, prediction, grid),
        area_distances(reference, prediction, grid),
    )
    assert apart.hausdorff() == pytest.approx(hd, rel=1e-6)
    assert apart.percentile_directed() == pytest.approx(hd95, rel=2e-5)  # torch interpolates in float32
    assert apart.pooled_mean() == pytest.approx(asd, rel=1e-6)
    assert apart.within(1.5) == pytest.approx(nsd, rel=1e-6)
    assert by_area.within(1.5) == pytest.approx(nsd_area, rel=1e-5)


def test_every_surface_element_has_the_area_that_monai_and_deepmind_give_it(monai_metrics):
    from monai.metrics.utils import create_table_neighbour_code_to_surface_area

    spacing = (1.0, 2.5, 0.7)
    theirs, _ = create_table_neighbour_code_to_surface_area(spacing)
    ours = element_areas(grid_of((9, 9, 9), spacing))
    # Their most significant bit is the first corner, ours the least significant.
    reversed_bits = [int(f"{code:08b}"[::-1], 2) for code in range(256)]
    assert ours[reversed_bits] == pytest.approx(theirs.numpy(), abs=1e-5)


# --- constructions


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 0.8, 2.0)])
def test_the_surface_of_a_ball_has_its_area(spacing):
    grid = grid_of(tuple(int(60 / s) for s in spacing), spacing)
    mask = Ellipsoid((30.0, 30.0, 30.0), (20.0,) * 3).on(grid) < 0
    codes = corner_codes(mask)
    area = element_areas(grid)[codes].sum()
    assert area == pytest.approx(4 * math.pi * 20**2, rel=0.15)  # a voxelised ball is rough


def test_the_surface_of_a_box_is_cut_at_its_edges_and_corners():
    # Six faces of 9 x 9 between voxel centres, 12 bevelled edges and 8 corners.
    codes = corner_codes(CUBE)
    expected = 6 * 81 + 12 * 9 * math.sqrt(0.5) + 8 * math.sqrt(3) / 8
    assert element_areas(grid_of(CUBE.shape))[codes].sum() == pytest.approx(expected, rel=1e-6)


def test_in_a_picture_a_contour_has_a_length_whatever_the_thickness():
    square = SQUARES[0]
    expected = 4 * 4 + 4 * math.sqrt(0.5)
    for axis, thickness in ((2, 1.0), (2, 7.0), (0, 3.0)):
        turned = np.moveaxis(square, 2, axis)
        spacing = [1.0, 1.0, 1.0]
        spacing[axis] = thickness
        areas = element_areas(grid_of(turned.shape, spacing))[corner_codes(turned)]
        assert areas.sum() == pytest.approx(expected, rel=1e-6)


def test_a_shift_along_a_thick_slice_is_as_far_as_the_slice_is_thick():
    one, other = np.zeros((2, 5, 5, 5), bool)
    one[2, 2, 1] = other[2, 2, 3] = True
    apart = border_distances(one, other, grid_of((5, 5, 5), (1.0, 1.0, 6.0)))
    assert apart.hausdorff() == apart.pooled_mean() == apart.percentile_pooled() == 12.0
    assert apart.within(11.99) == 0
    assert apart.within(12) == 1


def test_one_voxel_and_itself_are_no_distance_apart():
    one = np.zeros((4, 4, 4), bool)
    one[1, 2, 3] = True
    for distances in (border_distances, area_distances):
        apart = distances(one, one, grid_of(one.shape))
        assert apart.hausdorff() == apart.pooled_mean() == apart.percentile_weighted() == 0
        assert apart.within(1e-9) == 1


def test_a_mask_that_fills_the_grid_has_its_border_at_the_edge():
    full = np.ones((5, 5, 5), bool)
    inner = box((1, 1, 1), (4, 4, 4), (5, 5, 5))
    apart = border_distances(full, inner, grid_of(full.shape))
    assert apart.from_prediction.distances.tolist() == [1.0] * 26  # the middle voxel is no border
    assert apart.hausdorff() == pytest.approx(math.sqrt(3))


@pytest.mark.parametrize("distances", [border_distances, area_distances])
def test_there_is_no_distance_to_an_empty_mask(distances):
    empty = np.zeros(CUBE.shape, bool)
    grid = grid_of(CUBE.shape)
    assert distances(CUBE, empty, grid) is None
    assert distances(empty, CUBE, grid) is None
    assert distances(empty, empty, grid) is None


def test_a_face_towards_what_nobody_annotated_is_no_surface():
    known = np.ones(CUBE.shape, bool)
    known[:, :, 13:] = False
    apart = border_distances(CUBE & known, CUBE & known, grid_of(CUBE.shape), known)
    # Five layers of a square ring of 36, and the one closed end: nothing where the annotation stops.
    assert len(apart.from_reference.distances) == 5 * 36 + 64
    everything = np.ones((3, 3, 3), bool)
    only = np.zeros((3, 3, 3), bool)
    only[1, 1, 1] = True
    assert border_distances(only, only, grid_of((3, 3, 3)), only) is None
    assert border_distances(only, only, grid_of((3, 3, 3)), everything) is not None


@pytest.mark.parametrize("distances", [area_distances, mesh_distances])
def test_elements_and_meshes_are_open_where_the_annotation_stops(distances):
    grid, known = grid_of(CUBE.shape), np.ones(CUBE.shape, bool)
    known[:, :, 13:] = False
    whole = distances(CUBE, CUBE, grid)
    half = distances(CUBE & known, CUBE & known, grid, known)
    # Four sides, of which a half voxel is missing at the open end, and the one face that is there.
    cut = distances(CUBE & known, CUBE & known, grid)
    assert half.from_reference.weight < cut.from_reference.weight - 9 * 9 < whole.from_reference.weight
    elsewhere = SHIFTED & known
    apart = distances(CUBE & known, elsewhere, grid, known)
    assert apart.from_reference.largest() == pytest.approx(2)  # the open ends are not compared


@pytest.mark.parametrize("distances", [border_distances, area_distances])
def test_masks_that_are_not_on_their_grid_are_refused(distances):
    with pytest.raises(GeometryError, match=r"have its shape, got \(32, 32, 32\) and \(31, 32, 32\)"):
        distances(CUBE, CUBE[1:], grid_of(CUBE.shape))


# --- laws


def all_numbers(reference, prediction, grid):
    by_border = border_distances(reference, prediction, grid)
    by_area = area_distances(reference, prediction, grid)
    return [
        f
        for apart in (by_border, by_area)
        for f in (
            apart.hausdorff(),
            apart.percentile_pooled(),
            apart.percentile_directed(),
            apart.percentile_weighted(),
            apart.pooled_mean(),
            apart.mean_of_directed(),
            apart.within(1.0),
        )
    ]


@given(blobs, st.permutations(range(3)), st.tuples(*[st.booleans()] * 3), st.tuples(*[st.integers(0, 4)] * 3))
@settings(max_examples=40, deadline=None)
def test_moving_flipping_and_turning_change_no_distance(drawn, order, flips, shift):
    seed, spacing = drawn
    reference, prediction = blob_pair(seed, (8, 9, 7))
    if not reference.any() or not prediction.any():
        return
    before = all_numbers(reference, prediction, grid_of(reference.shape, spacing))

    def moved(mask):
        mask = np.pad(mask, [(s, 5 - s) for s in shift])
        return np.flip(mask, [axis for axis, flip in enumerate(flips) if flip]).transpose(order)

    # Around the scan is outside; the pad is outside too, so borders stay where they are.
    turned = grid_of(moved(reference).shape, [spacing[axis] for axis in order])
    after = all_numbers(moved(reference), moved(prediction), turned)
    # The triangles of a turned element cut corners differently where it is ambiguous: areas by 5 %.
    assert after[:7] == pytest.approx(before[:7], abs=1e-9)
    assert after[7:] == pytest.approx(before[7:], rel=0.05, abs=0.05)


@given(blobs)
@settings(max_examples=40, deadline=None)
def test_symmetric_distances_do_not_ask_which_mask_is_the_reference(drawn):
    seed, spacing = drawn
    reference, prediction = blob_pair(seed, (8, 9, 7))
    if not reference.any() or not prediction.any():
        return
    grid = grid_of(reference.shape, spacing)
    assert all_numbers(reference, prediction, grid) == pytest.approx(all_numbers(prediction, reference, grid))


@given(blobs)
@settings(max_examples=40, deadline=None)
def test_percentiles_and_means_never_exceed_the_largest_distance(drawn):
    seed, spacing = drawn
    reference, prediction = blob_pair(seed, (8, 9, 7))
    if not reference.any() or not prediction.any():
        return
    hd, *others, near = all_numbers(reference, prediction, grid_of(reference.shape, spacing))[:7]
    assert all(0 <= value <= hd + 1e-12 for value in others)
    assert 0 <= near <= 1


def test_large_masks_are_quick():
    grid = grid_of((96, 96, 96), (1.0, 1.0, 1.5))
    shape = Ellipsoid((48.0, 48.0, 72.0), (30.0, 30.0, 30.0)).on(grid)
    rough = Waves.drawn(np.random.default_rng(0), length_mm=25, height=2.0).on(grid)
    apart = border_distances(shape < 0, shape + rough < 0, grid)
    assert 2 < apart.hausdorff() < 12


@given(blobs, st.floats(0.1, 10))
@settings(max_examples=30, deadline=None)
def test_distances_grow_with_the_voxels(drawn, scale):
    seed, spacing = drawn
    reference, prediction = blob_pair(seed, (8, 9, 7))
    if not reference.any() or not prediction.any():
        return
    grid, larger = grid_of(reference.shape, spacing), grid_of(reference.shape, [scale * s for s in spacing])
    for distances in (border_distances, area_distances):
        apart, grown = distances(reference, prediction, grid), distances(reference, prediction, larger)
        assert grown.hausdorff() == pytest.approx(scale * apart.hausdorff())
        assert grown.pooled_mean() == pytest.approx(scale * apart.pooled_mean())
        assert grown.from_reference.weight == pytest.approx(
            apart.from_reference.weight * (1 if distances is border_distances else scale**2)
        )


@given(blobs)
@settings(max_examples=30, deadline=None)
def test_a_turned_patient_has_the_same_distances(drawn):
    seed, spacing = drawn
    reference, prediction = blob_pair(seed, (8, 9, 7))
    if not reference.any() or not prediction.any():
        return
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    oblique = np.eye(4)
    oblique[:3, :3], oblique[:3, 3] = turn @ np.diag(spacing), (120, -80, 33)
    straight, turned = grid_of(reference.shape, spacing), Geometry(reference.shape, oblique)
    assert all_numbers(reference, prediction, turned)[:6] == pytest.approx(
        all_numbers(reference, prediction, straight)[:6]
    )


@pytest.mark.parametrize("order", [(2, 1, 0), (1, 0, 2), (0, 2, 1)])
def test_how_masks_lie_in_memory_makes_no_difference(order):
    reference, prediction = blob_pair(5)
    grid = grid_of(reference.shape, (0.7, 1.0, 3.0))
    known = np.ones(reference.shape, bool)
    known[:, 3:5] = False

    def stored(mask):
        return np.ascontiguousarray(mask.transpose(order)).transpose(np.argsort(order))

    before = all_numbers(reference, prediction, grid)
    assert all_numbers(stored(reference), stored(prediction), grid) == pytest.approx(before)
    one, other = (
        border_distances(*(make(mask) & known for mask in (reference, prediction)), grid, make(known))
        for make in (np.array, stored)
    )
    assert one.pooled_mean() == pytest.approx(other.pooled_mean())
    assert one.hausdorff() == other.hausdorff()


@pytest.mark.parametrize("distances", [border_distances, area_distances])
def test_a_voxel_that_is_the_whole_scan_has_no_surface(distances):
    one = np.ones((1, 1, 1), bool)
    assert distances(one, one, grid_of(one.shape)) is None


def test_objects_at_the_end_of_the_grid_end_there():
    reference, prediction = box((0, 0, 0), (4, 8, 8), (8, 8, 8)), box((0, 0, 0), (6, 8, 8), (8, 8, 8))
    apart = border_distances(reference, prediction, grid_of(reference.shape))
    assert apart.hausdorff() == 2
    assert len(apart.from_reference.distances) == 4 * 64 - 2 * 36  # all but the inner voxels
