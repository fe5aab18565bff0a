"""Counting by pattern is counting by voxel."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.evaluation.raters.decisions import OPEN, Decisions
from delineate.space import Box, Geometry, Label, LabelMap, LabelSchema

SCHEMA = LabelSchema(labels=(Label(value=4, name="core"), Label(value=1, name="rim")), ignore=7)
SHAPE = (5, 4, 3)


def maps_of(*arrays, schema=SCHEMA, spacing=(1.0, 1.0, 1.0)):
    return [LabelMap(array, Geometry(array.shape, np.diag([*spacing, 1.0])), schema) for array in arrays]


def several(raters=3):
    values = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 4, 7]))
    return st.lists(values, min_size=1, max_size=raters)


@given(several())
def test_every_voxel_has_the_pattern_of_what_was_said_of_it(arrays):
    found = Decisions.of(maps_of(*arrays), margin_mm=None)
    assert found.values == (0, 1, 4)
    value = np.array([*found.values, SCHEMA.ignore])  # OPEN is the last place
    for rater, array in enumerate(arrays):
        again = np.zeros(SHAPE, np.uint8)
        again[found.box.slices] = value[found.patterns[:, rater]][found.codes]
        np.testing.assert_array_equal(again, array)


@given(several())
def test_every_voxel_is_counted_once_and_no_pattern_comes_twice(arrays):
    found = Decisions.of(maps_of(*arrays), margin_mm=None)
    assert found.counts.sum() == found.total.sum() == np.prod(SHAPE)
    assert len(np.unique(found.patterns, axis=0)) == len(found.patterns)
    assert (found.patterns[0] == 0).all()
    said = np.stack(arrays, axis=-1).reshape(-1, len(arrays))
    for pattern, count in zip(found.patterns, found.total, strict=True):
        values = np.array([*found.values, SCHEMA.ignore])[pattern]
        assert (said == values).all(axis=1).sum() == count


@given(several(), st.sampled_from([0.0, 1.0, 2.5, 100.0]))
def test_the_field_of_view_is_what_anybody_labelled_and_a_margin(arrays, margin_mm):
    found = Decisions.of(maps_of(*arrays, spacing=(1.0, 2.0, 4.0)), margin_mm=margin_mm)
    box = Box.around(np.any(arrays, axis=0)) or Box((0, 0, 0), (1, 1, 1))
    reach = [int(np.ceil(margin_mm / size)) for size in (1, 2, 4)]
    edges = [
        (max(0, a - m), min(n, b + m)) for a, b, m, n in zip(box.start, box.stop, reach, SHAPE, strict=True)
    ]
    assert found.counts.sum() == np.prod([b - a for a, b in edges])
    assert found.total.sum() == np.prod(SHAPE)


def test_maps_that_do_not_frame_are_counted_but_do_not_widen_the_field():
    near, far = np.zeros((2, 20, 4, 4), np.uint8)
    near[2:4, 1:3, 1:3], far[15, 1, 1] = 1, 1
    alone = Decisions.of(maps_of(near), margin_mm=1)
    framed = Decisions.of(maps_of(near, far), margin_mm=1, framing=1)
    assert framed.counts.sum() == alone.counts.sum() == 4 * 4 * 4
    assert (framed.total @ framed.votes([1])).tolist() == [8, 1]
    assert (framed.counts @ framed.votes([1])).tolist() == [8, 0]


def test_what_a_rater_left_open_is_no_vote_and_not_background():
    first, second = np.zeros((2, 2, 2, 2), np.uint8)
    first[0, 0, 0], second[0, 0, 0] = 4, 7
    found = Decisions.of(maps_of(first, second), margin_mm=None)
    assert found.patterns.tolist() == [[0, 0], [2, OPEN]]
    assert found.known.tolist() == [[True, True], [True, False]]
    assert found.votes([1, 4]).tolist() == [[False, False], [True, False]]
    assert found.binary([4]).tolist() == [[0, 0], [1, OPEN]]


def test_leaving_a_rater_out_leaves_voxels_and_field():
    arrays = np.random.default_rng(0).choice([0, 1, 4], (3, *SHAPE)).astype(np.uint8)
    whole = Decisions.of(maps_of(*arrays))
    fewer = Decisions.of(maps_of(*arrays[[0, 2]]))
    left = whole.without(1)
    assert left.counts.sum() == whole.counts.sum()
    np.testing.assert_array_equal(left.counts @ left.votes([4]), fewer.counts @ fewer.votes([4]))
    np.testing.assert_array_equal(whole.first(2).patterns, whole.patterns[:, :2])


def test_where_nobody_labelled_anything_there_is_one_pattern_and_one_voxel_of_field():
    found = Decisions.of(maps_of(np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)), margin_mm=0)
    assert found.patterns.tolist() == [[0, 0]]
    assert found.counts.tolist() == [1]
    assert found.total.tolist() == [np.prod(SHAPE)]


def test_a_mask_is_where_its_patterns_are():
    array = np.zeros(SHAPE, np.uint8)
    array[1:3, 1:3, 1] = 4
    found = Decisions.of(maps_of(array))
    assert found.mask(found.votes([4])[:, 0]).all()
    assert found.box == Box((1, 1, 1), (3, 3, 2))
