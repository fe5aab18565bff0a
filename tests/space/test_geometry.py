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
