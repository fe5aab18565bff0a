import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import GeometryError
from delineate.space import Box, Geometry

mm = st.floats(0.2, 8.0)
sizes = st.integers(1, 60)


@st.composite
def geometries(draw):
    q, _ = np.linalg.qr(
        np.array(draw(st.lists(st.floats(-1, 1), min_size=9, max_size=9))).reshape(3, 3) + np.eye(3) * 3
    )
    affine = np.eye(4)
    affine[:3, :3] = q * np.array([draw(mm), draw(mm), draw(mm)])
    affine[:3, 3] = [draw(st.floats(-300, 300)) for _ in range(3)]
    return Geometry((draw(sizes), draw(sizes), draw(sizes)), affine)


@given(geometries())
@settings(max_examples=200, deadline=None)
def test_index_and_world_undo_each_other(g):
    p = np.array([[0.0, 0, 0], [1.5, -2, 3]])
    assert np.allclose(g.to_index(g.to_world(p)), p, atol=1e-8)


@given(geometries(), st.integers(-5, 5))
@settings(max_examples=200, deadline=None)
def test_cropping_never_moves_a_voxel(g, a):
    box = Box((a, a, a), (a + 4, a + 5, a + 6))
    p = np.array([1.0, 2.0, 3.0])
    assert np.allclose(g.cropped(box).to_world(p), g.to_world(p + box.start), atol=1e-8)


@given(geometries(), st.tuples(mm, mm, mm))
@settings(max_examples=300, deadline=None)
def test_respacing_covers_the_same_tissue(g, spacing):
    assert np.allclose(g.respaced(spacing).corners(), g.corners(), atol=1e-6)


@given(geometries(), st.tuples(mm, mm, mm))
@settings(max_examples=300, deadline=None)
def test_respacing_from_the_first_voxel_is_exact_and_ends_nearest_to_the_last(g, spacing):
    made = g.respaced_from_first(spacing)
    assert np.allclose(made.spacing, spacing)
    assert np.allclose(made.to_world(np.zeros(3)), g.to_world(np.zeros(3)))
    beyond = (np.array(made.shape) - 1) * spacing - (np.array(g.shape) - 1) * g.spacing  # mm
    assert (np.abs(beyond) <= np.array(spacing) / 2 + 1e-6).all()


def test_a_flat_affine_is_refused():
    with pytest.raises(GeometryError, match="no volume"):
        Geometry((4, 4, 4), np.diag([1, 1, 0, 1]))


def test_geometry_cannot_be_edited_in_place():
    g = Geometry((4, 4, 4), np.eye(4))
    with pytest.raises(ValueError):
        g.affine[0, 3] = 10
    assert repr(g) == "Geometry(4 x 4 x 4 voxels of 1 x 1 x 1 mm)"


def test_box_around_mask():
    m = np.zeros((5, 6, 7), bool)
    assert Box.around(m) is None
    m[1:3, 2:5, 6] = True
    assert Box.around(m) == Box((1, 2, 6), (3, 5, 7))
    assert m[Box.around(m).slices].all()


@pytest.mark.parametrize(
    ("shape", "affine", "message"),
    [
        ((4, 4, 4), np.eye(3), r"an affine is \(4, 4\), this one is \(3, 3\)"),
        ((4, 4, 4), np.diag([1, np.nan, 1, 1]), "holds NaN or infinity"),
        ((4, 4, 4), np.diag([1, np.inf, 1, 1]), "holds NaN or infinity"),
        ((4, 4, 4), np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), "no volume"),
        ((4, 0, 4), np.eye(4), r"at least one voxel along each axis, got \(4, 0, 4\)"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(shape, affine, message):
    with pytest.raises(GeometryError, match=message):
        Geometry(shape, affine)


def test_voxels_of_a_microscope_are_small_but_have_volume():
    grid = Geometry((4, 4, 1), np.diag([1e-4, 1e-4, 1e-3, 1.0]))
    assert grid.voxel_ml == pytest.approx(1e-14)
    assert grid.is_flat


@given(geometries())
@settings(max_examples=100, deadline=None)
def test_turning_keeps_the_tissue_and_the_voxel(g):
    turned = g.reoriented("LPS")
    assert turned.orientation == "LPS"
    assert turned.voxel_ml == pytest.approx(g.voxel_ml)
    for corner in g.corners():
        assert np.linalg.norm(turned.corners() - corner, axis=1).min() < 1e-6
    assert turned.reoriented(g.orientation).same_place(g, tolerance_mm=1e-6)


@given(geometries(), st.floats(0.01, 5))
@settings(max_examples=100, deadline=None)
def test_the_same_place_is_a_matter_of_millimetres(g, shift):
    affine = g.affine.copy()
    affine[0, 3] += shift
    moved = Geometry(g.shape, affine)
    assert g.same_place(moved, tolerance_mm=shift * 1.001)
    assert not g.same_place(moved, tolerance_mm=shift * 0.999)


def test_grids_of_other_shapes_are_never_the_same_place():
    assert not Geometry((4, 4, 4), np.eye(4)).same_place(Geometry((4, 4, 5), np.eye(4)), tolerance_mm=1e9)


def test_a_small_turn_far_from_the_origin_is_seen_at_the_far_corner():
    affine = np.eye(4)
    angle = np.deg2rad(0.1)
    affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    wide = (400, 400, 10)
    assert np.allclose(affine, np.eye(4), atol=2e-3)  # the affines look alike
    assert not Geometry(wide, affine).same_place(Geometry(wide, np.eye(4)), tolerance_mm=0.5)


def test_a_picture_lies_as_pictures_do():
    picture = Geometry.of_image((640, 480), (0.5, 0.25))
    assert picture.shape == (640, 480, 1)
    assert picture.orientation == "LPS"
    assert picture.spacing == (0.5, 0.25, 1.0)
