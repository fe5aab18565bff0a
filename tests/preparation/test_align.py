import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.preparation.align import cropped, indices, labels_on, turned
from delineate.space import Label, LabelSchema, Region

ORIENTATIONS = st.sampled_from(["RAS", "LPS", "ASR", "SPL", "PIR"])


@given(ORIENTATIONS, ORIENTATIONS)
@settings(max_examples=25, deadline=None)
def test_turning_there_and_back_is_exact(scan_of, first, second):
    scan = scan_of(np.random.default_rng(0).random((2, 4, 5, 6)), (1, 2, 3), orientation=first)
    there = turned(scan, second)
    back = turned(there, first)
    assert there.geometry.orientation == second
    assert np.array_equal(back.array, scan.array)
    assert back.geometry.same_place(scan.geometry)


def test_a_scan_that_lies_right_is_left_alone(scan_of):
    scan = scan_of(np.ones((1, 2, 2, 2)))
    assert turned(scan, "RAS") is scan


def test_cropping_keeps_every_voxel_in_its_place(two_blocks):
    scan, _ = two_blocks
    part = cropped(scan, to_nonzero=True)
    assert part.geometry.shape == (19, 22, 13)
    there = scan.geometry.to_world(np.array([3.0, 2, 4]))
    assert np.allclose(part.geometry.to_world(np.zeros(3)), there)
    assert np.array_equal(part.resampled(scan.geometry, order=0).array, scan.array)


def test_a_plan_may_keep_the_border(two_blocks):
    scan, _ = two_blocks
    assert cropped(scan, to_nonzero=False) is scan


def test_an_empty_scan_keeps_its_grid(scan_of):
    scan = scan_of(np.zeros((1, 3, 4, 5)))
    assert cropped(scan, to_nonzero=True).geometry.shape == (3, 4, 5)


def test_labels_follow_their_scan_exactly(two_blocks):
    scan, labels = two_blocks
    aligned = cropped(turned(scan, "RAS"), to_nonzero=True)
    there = labels_on(labels.array, scan.geometry, aligned.geometry)
    assert np.array_equal(there > 0, aligned.array[0] > 100)
    assert np.array_equal(labels_on(there, aligned.geometry, scan.geometry), labels.array)


def test_indices_count_labels_in_the_order_of_the_schema():
    schema = LabelSchema(labels=(Label(value=300, name="b"), Label(value=2, name="a")))
    assert indices(np.array([0, 2, 300, 0], np.uint16), schema).tolist() == [0, 2, 1, 0]


def test_regions_do_not_change_the_indices_and_ignored_voxels_are_unknown():
    schema = LabelSchema(
        labels=(Label(value=1, name="oedema"), Label(value=2, name="core")),
        regions=(Region(name="whole", values=(1, 2), paints=1), Region(name="core", values=(2,), paints=2)),
        ignore=9,
    )
    assert indices(np.array([0, 1, 2, 9], np.uint8), schema).tolist() == [0, 1, 2, -1]
    assert indices(np.array([0, -1]), schema.but(ignore=-1)).tolist() == [0, -1]
