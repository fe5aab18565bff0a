import math

import numpy as np
import pytest

from delineate.evaluation import Confusion, Volumes
from delineate.evaluation.volume import touches_edge
from delineate.space import Box, Geometry
from delineate.space.phantoms import Ellipsoid

GRID = Geometry((60, 60, 40), np.diag([1.0, 1.0, 1.5, 1.0]))


@pytest.mark.parametrize("radii", [(20.0, 20.0, 20.0), (12.0, 18.0, 24.0)])
def test_an_ellipsoid_has_its_volume(radii):
    mask = Ellipsoid((29.0, 30.0, 29.5), radii).on(GRID) < 0
    volumes = Volumes.of(Confusion.of(mask, mask), GRID)
    assert volumes.reference_ml == pytest.approx(4 / 3 * math.pi * math.prod(radii) / 1000, rel=0.01)
    assert volumes.error_ml == 0
    assert volumes.relative_error == 0


def test_an_error_has_a_sign():
    large, small = np.zeros((2, 32, 32, 32), bool)
    large[8:18, 8:18, 8:18] = True
    small[9:17, 9:17, 9:17] = True
    volumes = Volumes.of(Confusion.of(large, small), Geometry((32, 32, 32), np.eye(4)))
    assert volumes.error_ml == pytest.approx(-0.488)
    assert volumes.relative_error == pytest.approx(-0.488)


def test_a_perfect_volume_may_have_no_overlap():
    left, right = np.zeros((2, 4, 4, 4), bool)
    left[0], right[3] = True, True
    counts = Confusion.of(left, right)
    assert Volumes.of(counts, Geometry((4, 4, 4), np.eye(4))).relative_error == 0
    assert counts.dice() == 0


def test_there_is_no_relative_error_of_nothing():
    volumes = Volumes(0.0, 3.0)
    assert volumes.error_ml == 3
    assert volumes.relative_error is None


@pytest.mark.parametrize(
    ("start", "stop", "cut"),
    [
        ((1, 1, 1), (59, 59, 39), False),
        ((0, 1, 1), (5, 5, 5), True),
        ((1, 1, 1), (5, 60, 5), True),
        ((1, 1, 39), (5, 5, 40), True),
    ],
)
def test_a_structure_that_reaches_the_edge_is_told(start, stop, cut):
    assert touches_edge(Box(start, stop), GRID) is cut


def test_the_one_slice_of_a_picture_is_no_edge():
    assert not touches_edge(Box((1, 1, 0), (4, 4, 1)), Geometry.of_image((5, 5)))
