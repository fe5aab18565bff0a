"""Edge polygons enclose exactly the pixels that they were made of."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from delineate.clinic.contours import fill, outlines, polygons

masks = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(lambda shape: arrays(bool, shape))


@settings(max_examples=300)
@given(mask=masks, keyhole=st.booleans())
def test_filling_the_polygons_of_a_mask_gives_it_back(mask, keyhole):
    assert np.array_equal(fill(mask.shape, polygons(mask, keyhole=keyhole)), mask)


@given(mask=masks, seed=st.integers(0, 1000))
def test_the_direction_and_the_first_point_of_a_polygon_do_not_matter(mask, seed):
    rng = np.random.default_rng(seed)
    drawn = [
        np.roll(p, rng.integers(len(p)), axis=0)[:: rng.choice([-1, 1])] for p in polygons(mask, keyhole=True)
    ]
    assert np.array_equal(fill(mask.shape, drawn), mask)


@given(mask=masks)
def test_keyholes_leave_one_polygon_per_connected_piece(mask):
    from scipy import ndimage

    assert len(polygons(mask, keyhole=True)) == ndimage.label(mask)[1]


@given(mask=masks)
def test_outlines_less_holes_enclose_as_much_as_the_mask_has(mask):
    total = 0.0
    for polygon in polygons(mask, keyhole=False):
        x, y = polygon.T
        total += (np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2
    assert total == mask.sum()


def test_one_pixel_is_a_square_around_its_centre():
    mask = np.zeros((5, 4), bool)
    mask[2, 1] = True
    (polygon,) = polygons(mask, keyhole=True)
    assert sorted(map(tuple, polygon.tolist())) == [(1.5, 0.5), (1.5, 1.5), (2.5, 0.5), (2.5, 1.5)]


def test_pixels_that_touch_at_a_corner_have_outlines_of_their_own():
    assert len(outlines(np.eye(2, dtype=bool))) == 2


def test_an_empty_mask_has_no_polygons_and_no_polygons_fill_nothing():
    assert polygons(np.zeros((3, 3), bool), keyhole=True) == ()
    assert not fill((3, 3), ()).any()


def test_a_polygon_through_pixel_centres_keeps_its_area():
    square = np.array([(1, 1), (5, 1), (5, 5), (1, 5)], float)
    assert fill((8, 8), [square]).sum() == 16
    shaken = square + np.random.default_rng(0).uniform(-5e-4, 5e-4, square.shape)  # rounding in a file
    assert np.array_equal(fill((8, 8), [shaken]), fill((8, 8), [square]))


@pytest.mark.parametrize("far", [-50.0, 50.0])
def test_what_is_drawn_outside_the_image_is_cut(far):
    square = np.array([(-2, -2), (3, -2), (3, 3), (-2, 3)], float)
    assert fill((5, 5), [square]).sum() == 9
    assert not fill((5, 5), [square + far]).any()
