"""All that moves: exact at right angles, in agreement with others, and labels go where the image goes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from delineate.errors import GeometryError
from delineate.planning.plan import Augmentation
from delineate.preparation.deform import Deform, Elastic, _spline_weights, draw_deform

SPACE, PLANE = (0, 1, 2), (0, 1)
BUSY = Augmentation(rotation_probability=0.7, scale_probability=0.7, elastic_probability=0.5)
CPU = torch.device("cpu")


def values(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random(shape, dtype=np.float32))


def places(shape):
    """The index of every voxel, as an image: (axis, *shape)."""
    return torch.from_numpy(np.indices(shape, dtype=np.float32))


def image_of(deform, source, edges):
    return deform.reading(edges, tuple(source.shape[1:]), source.device).image(source)


def labels_of(deform, source, edges, outside=0):
    return deform.reading(edges, tuple(source.shape[1:]), source.device).labels(source, outside=outside)


def drawn(seed, spacing, **changes):
    """A deformation in which something moves."""
    rng = np.random.default_rng(seed)
    augmentation = BUSY.but(elastic_grid_mm=8.0, elastic_displacement_mm=(0.5, 2.0), **changes)
    while (deform := draw_deform(rng, augmentation, spacing)).is_identity:
        pass
    return deform


seeds = st.integers(0, 10**6)
deforms = st.one_of(  # with the edges of a patch
    st.tuples(st.builds(drawn, seeds, st.just((1.0, 1.5, 0.7))), st.just((9, 8, 7))),
    st.tuples(
        st.builds(drawn, seeds, st.just((1.0, 0.8)), rotation_deg=st.just((-180.0, 180.0))), st.just((9, 8))
    ),
    st.tuples(st.builds(drawn, seeds, st.just((4.0, 1.0, 1.0)), flat_axis=st.just(0)), st.just((3, 9, 8))),
)


def read_positions(deform, edges):
    """Where each voxel of a patch was read in its source, by reading an image of positions."""
    wider = (n + 2 * (axis in deform.axes) for axis, n in enumerate(deform.reach(edges)))
    ramp = places(tuple(wider)) + 1000  # the padding is not read
    return image_of(deform, ramp, edges).numpy() - 1000


# -- nothing moves


def test_a_patch_that_does_not_move_is_an_exact_copy():
    source = values(2, 5, 6, 7)
    for deform in (Deform(SPACE), Deform(SPACE, (0.0, 0.0, 0.0), 1.0)):
        assert deform.reach((5, 6, 7)) == (5, 6, 7)
        assert torch.equal(image_of(deform, source, (5, 6, 7)), source)
        assert torch.equal(labels_of(deform, source, (5, 6, 7)), source)


def test_a_larger_source_is_cropped_about_its_middle():
    source = values(1, 9, 8)
    assert torch.equal(image_of(Deform(PLANE), source, (5, 4)), source[:, 2:-2, 2:-2])


def test_half_a_voxel_cannot_be_copied():
    with pytest.raises(GeometryError, match="5 x 4 voxels is not the middle of a source of 8 x 8"):
        image_of(Deform(PLANE), values(1, 8, 8), (5, 4))


def test_a_source_that_is_too_small_cannot_be_copied():
    with pytest.raises(GeometryError, match="read the box that `reach` says"):
        image_of(Deform(PLANE), values(1, 4, 4), (6, 6))


# -- right angles


@pytest.mark.parametrize(("axis", "plane"), [(0, (1, 2)), (1, (2, 0)), (2, (0, 1))])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_right_angle_is_numpys_rot90(axis, plane, turns):
    edges = [6, 8, 4]
    source = values(2, *edges)
    rotated = np.rot90(source.numpy(), turns, [1 + a for a in plane])
    angles = tuple(90.0 * turns if a == axis else 0.0 for a in range(3))
    deform = Deform(SPACE, angles)
    target = rotated.shape[1:]
    assert deform.reach(target) == tuple(edges)  # not a voxel more than the scan is read
    assert image_of(deform, source, target).numpy() == pytest.approx(rotated, abs=2e-6)
    codes = torch.arange(source.numel(), dtype=torch.int32).reshape(source.shape)
    assert (labels_of(deform, codes, target).numpy() == np.rot90(codes, turns, [1 + a for a in plane])).all()


def test_a_right_angle_in_a_picture_is_numpys_rot90():
    source = values(3, 6, 8)
    turned = image_of(Deform(PLANE, (90.0,)), source, (8, 6))
    assert turned.numpy() == pytest.approx(np.rot90(source.numpy(), 1, (1, 2)), abs=2e-6)


def test_rotations_follow_each_other_from_the_first_axis_on():
    source = values(1, 6, 6, 6)
    both = image_of(Deform(SPACE, (90.0, 90.0, 0.0)), source, (6, 6, 6)).numpy()
    expected = np.rot90(np.rot90(source.numpy(), 1, (2, 3)), 1, (3, 1))
    assert both == pytest.approx(expected, abs=2e-6)


def test_a_larger_scale_shows_the_object_smaller():
    source = torch.zeros(1, 16, 16, 16)
    source[:, 4:12, 4:12, 4:12] = 1
    shown = image_of(Deform(SPACE, scale=2.0), source, (16, 16, 16))
    assert shown.sum() == pytest.approx(4**3, rel=0.05)
    assert Deform(SPACE, scale=0.5).reach((16, 16, 16)) == (10, 10, 10)  # magnified: less is read


# -- in agreement with others


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3), st.floats(0.6, 1.6))
def test_an_affine_agrees_with_scipy(angles, scale):
    deform, shape = Deform(SPACE, angles, scale), (9, 12, 7)
    source = values(1, *shape)
    offset = (np.array(shape) - 1) / 2
    padded = np.pad(source[0].numpy(), 1)  # scipy's "constant" mode would not blend into the padding
    expected = ndimage.affine_transform(
        padded, deform.matrix, offset + 1 - deform.matrix @ offset, output_shape=shape, order=1
    )
    if not deform.is_identity:
        assert image_of(deform, source, shape)[0].numpy() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("angles", [(20.0, -35.0, 70.0), (0.0, 90.0, 12.0)])
def test_an_affine_agrees_with_monai(angles):
    monai = pytest.importorskip("monai.transforms")
    deform, source = Deform(SPACE, angles, 1.25), values(2, 12, 10, 14)
    matrix = np.eye(4)
    matrix[:3, :3] = deform.matrix
    reference = monai.Affine(affine=matrix, padding_mode="zeros", mode="bilinear", image_only=True)
    ours = image_of(deform, source, (12, 10, 14))
    assert ours.numpy() == pytest.approx(np.asarray(reference(source)), abs=1e-4)


# -- everything that is drawn


@settings(max_examples=60, deadline=None)
@given(deforms)
def test_labels_go_where_the_image_goes(drawn_for):
    deform, edges = drawn_for
    positions = read_positions(deform, edges)
    wider = [n + 2 * (axis in deform.axes) for axis, n in enumerate(deform.reach(edges))]
    source = torch.from_numpy(np.random.default_rng(0).integers(0, 90, wider, dtype=np.int16))
    moved = labels_of(deform, source[None], edges)[0].numpy()
    expected = source.numpy()[tuple(np.round(positions).astype(int))]
    certain = (np.abs(positions % 1 - 0.5) > 1e-2).all(axis=0)  # halfway, either voxel is nearest
    assert certain.mean() > 0.5
    assert (moved[certain] == expected[certain]).all()


@settings(max_examples=60, deadline=None)
@given(deforms)
def test_an_image_of_labels_and_the_labels_stay_identical(drawn_for):
    deform, edges = drawn_for
    labels = torch.from_numpy(np.random.default_rng(1).integers(0, 5, (1, *deform.reach(edges))))
    image = labels.to(torch.float32)
    moved = labels_of(deform, labels, edges)
    assert torch.equal(labels_of(deform, image, edges), moved.to(torch.float32))
    assert set(moved.unique().tolist()) <= set(labels.unique().tolist())


@settings(max_examples=60, deadline=None)
@given(deforms)
def test_the_box_that_is_read_covers_the_patch(drawn_for):
    deform, edges = drawn_for
    ones = torch.ones(1, *deform.reach(edges))
    assert image_of(deform, ones, edges).min() > 0.998
    assert (labels_of(deform, ones.to(torch.int16), edges, outside=-1) == 1).all()


@settings(max_examples=60, deadline=None)
@given(deforms)
def test_no_more_is_read_than_a_rim_of_two_voxels(drawn_for):
    deform, edges = drawn_for
    if deform.elastic is None:
        positions = read_positions(deform, edges).reshape(len(edges), -1)
        extent = positions.max(axis=1) - positions.min(axis=1)
        assert (np.array(deform.reach(edges)) <= extent + 1 + 2.01).all()


def test_beyond_the_source_the_image_is_zero_and_labels_are_as_told():
    deform = Deform(PLANE, (45.0,))
    ones = torch.ones(1, 8, 8)
    assert image_of(deform, ones, (8, 8))[0, 0, 0] == 0
    assert labels_of(deform, ones.to(torch.int16), (8, 8), outside=-1)[0, 0, 0] == -1
    assert labels_of(deform, ones.to(torch.int16), (8, 8))[0, 0, 0] == 0


def test_large_label_numbers_survive():
    labels = torch.arange(100, 100 + 64, dtype=torch.int16).reshape(1, 8, 8) * 190
    assert torch.equal(labels_of(Deform(PLANE, (180.0,)), labels, (8, 8), outside=-1), labels.flip(1, 2))


# -- flat


def test_slices_across_a_flat_axis_never_mix():
    deform = drawn(3, (1.0, 1.0, 5.0), flat_axis=2, elastic_probability=1.0)
    edges = (10, 9, 4)
    assert deform.axes == (0, 1)
    assert deform.reach(edges)[2] == 4
    source = values(2, *deform.reach(edges))
    patch = image_of(deform, source, edges)
    for k in range(4):
        alone = Deform((0, 1), deform.angles_deg, deform.scale, deform.elastic)
        assert torch.allclose(patch[..., k], image_of(alone, source[..., k], (10, 9)), atol=1e-6)


@pytest.mark.parametrize("flat", [0, 1, 2])
def test_a_right_angle_across_any_flat_axis_is_numpys_rot90(flat):
    axes = tuple(axis for axis in range(3) if axis != flat)
    source = values(2, 5, 5, 5)
    expected = np.rot90(source.numpy(), 1, [1 + axis for axis in axes])
    assert image_of(Deform(axes, (90.0,)), source, (5, 5, 5)).numpy() == pytest.approx(expected, abs=2e-6)


def test_a_thick_source_is_cropped_along_the_flat_axis():
    patch = image_of(Deform((1, 2), (30.0,)), values(1, 6, 8, 8), (4, 8, 8))
    assert patch.shape == (1, 4, 8, 8)


# -- elastic


def elastic(seed, edges=(24, 20, 16)):
    return Elastic((4.0,) * len(edges), (24.0,) * len(edges), seed)


@given(st.integers(1, 60), st.floats(0.5, 100))
def test_spline_weights_are_shares(edge, step):
    weights = _spline_weights(edge, step)
    assert weights.min() >= 0
    assert weights.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("seed", range(20))
def test_by_default_no_voxels_change_places(seed):
    field = elastic(seed).displacement((24, 20, 16), CPU).numpy().astype(float)
    gradient = np.array([np.gradient(component) for component in field])  # (component, axis, ...)
    jacobian = np.moveaxis(gradient, (0, 1), (-2, -1)) + np.eye(3)
    assert np.linalg.det(jacobian).min() > 0


def test_the_largest_displacement_is_the_one_asked_for():
    field = Elastic((1.0, 2.0), (6.0, 9.0), 5).displacement((30, 40), CPU)
    assert field.abs().amax((1, 2)).tolist() == pytest.approx([1.0, 2.0])


def test_displacements_are_smooth_and_repeat_with_their_seed():
    field = elastic(1).displacement((24, 20, 16), CPU)
    assert torch.equal(field, elastic(1).displacement((24, 20, 16), CPU))
    assert not torch.equal(field, elastic(2).displacement((24, 20, 16), CPU))
    assert field.diff(dim=1).abs().max() < 1


def test_displacements_in_mm_become_voxels():
    always = Augmentation(elastic_probability=1, rotation_probability=0, scale_probability=0)
    drawn_one = draw_deform(np.random.default_rng(0), always, (0.5, 1.0, 2.0))
    largest = np.array(drawn_one.elastic.largest) * (0.5, 1.0, 2.0)
    assert largest == pytest.approx(largest[0])
    assert 1 <= largest[0] <= 4
    assert drawn_one.elastic.grid == pytest.approx((48, 24, 12))


# -- draws


def test_draws_keep_to_their_probabilities_and_ranges():
    rng = np.random.default_rng(0)
    found = [draw_deform(rng, Augmentation(), (1.0, 1.0, 1.0)) for _ in range(5000)]
    angles = np.array([d.angles_deg for d in found if d.angles_deg])
    scales = np.array([d.scale for d in found if d.scale != 1])
    assert len(angles) / 5000 == pytest.approx(0.2, abs=0.02)
    assert len(scales) / 5000 == pytest.approx(0.2, abs=0.02)
    assert sum(d.is_identity for d in found) / 5000 == pytest.approx(0.64, abs=0.03)
    assert all(d.elastic is None for d in found)
    assert np.abs(angles).max() <= 30 and np.abs(angles).mean(0) == pytest.approx(15, abs=1)
    assert scales.min() >= 0.7 and scales.max() <= 1.4


def test_a_plane_gets_one_angle():
    always = Augmentation(rotation_probability=1, rotation_deg=(-180.0, 180.0))
    for spacing, flat in (((1.0, 1.0), None), ((1.0, 1.0, 5.0), 2)):
        deform = draw_deform(np.random.default_rng(0), always.but(flat_axis=flat), spacing)
        assert len(deform.angles_deg) == 1
        assert len(deform.axes) == 2
