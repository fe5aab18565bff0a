from itertools import permutations, product

import numpy as np
import pytest

from delineate.errors import GeometryError
from delineate.space import Geometry
from delineate.space.orientation import orientation_of, turn, world_axes

CODES = ["".join(c) for p in permutations(("RL", "AP", "SI")) for c in product(*p)]


def test_there_are_48_orientations_and_all_are_reached():
    grid = Geometry((3, 4, 5), np.diag([1.0, 2.0, 3.0, 1.0]))
    assert len(CODES) == 48
    assert [grid.reoriented(code).orientation for code in CODES] == CODES


@pytest.mark.parametrize("code", CODES)
def test_orientation_agrees_with_nibabel(code):
    nibabel = pytest.importorskip("nibabel")
    affine = Geometry((3, 4, 5), np.diag([1.0, 2.0, 3.0, 1.0])).reoriented(code).affine
    assert "".join(nibabel.aff2axcodes(affine)) == orientation_of(affine) == code


def test_an_oblique_grid_has_the_nearest_orientation():
    turned = np.array([[0.8, -0.6, 0, 0], [0.6, 0.8, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
    assert orientation_of(turned) == "RAI"


def test_an_axis_at_45_degrees_still_gives_every_letter_pair_once():
    half = np.sqrt(0.5)
    affine = np.array([[half, half, 0, 0], [half, -half, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert sorted(world_axes(orientation_of(affine))) == [0, 1, 2]


@pytest.mark.parametrize("source", CODES[::7])
@pytest.mark.parametrize("target", CODES[::5])
def test_a_turn_moves_every_voxel_to_where_the_grid_says(source, target):
    grid = Geometry((3, 4, 5), np.diag([1.0, 2.0, 3.0, 1.0])).reoriented(source)
    there = grid.reoriented(target)
    order, flips = turn(source, target)
    values = np.arange(60).reshape(grid.shape)
    turned = np.flip(values.transpose(order), [axis for axis, flip in enumerate(flips) if flip])
    for index in [(0, 0, 0), (1, 0, 2), tuple(n - 1 for n in there.shape)]:
        world = there.to_world(np.array(index, float))
        i, j, k = np.round(grid.to_index(world)).astype(int)
        assert turned[index] == values[i, j, k]


@pytest.mark.parametrize("code", ["RAX", "RRA", "RA", "RASS", "ras", "", "RLS"])
def test_letters_that_are_no_orientation_are_refused(code):
    with pytest.raises(GeometryError, match="is no orientation: expected three letters"):
        world_axes(code)
