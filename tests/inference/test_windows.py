from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.errors import PlanError
from delineate.inference import Windows, steps
from delineate.inference.windows import batches


@pytest.mark.parametrize(
    ("size", "window", "expected"),
    [
        (110, 64, [0, 23, 46]),
        (256, 64, [0, 32, 64, 96, 128, 160, 192]),
        (128, 128, [0]),
        (129, 128, [0, 1]),
        (5, 1, [0, 1, 2, 3, 4]),
    ],
)
def test_steps_are_those_of_nnunet(size, window, expected):
    assert list(steps(size, window, 0.5)) == expected


@given(st.integers(1, 70), st.integers(0, 200), st.floats(0.05, 1))
def test_windows_reach_both_ends_and_leave_no_gap(window, more, step):
    starts = steps(window + more, window, step)
    gaps = [b - a for a, b in pairwise(starts)]
    assert starts[0] == 0
    assert starts[-1] == more
    assert all(1 <= gap <= max(1, window * step) + 1 for gap in gaps)
    assert all(gap <= window for gap in gaps)


def test_a_window_larger_than_the_scan_is_refused():
    with pytest.raises(PlanError, match="window of 9 voxels does not fit 8 voxels; pad"):
        steps(8, 9)


@pytest.mark.parametrize("step", [0, -1, 1.1])
def test_a_step_beyond_the_window_is_refused(step):
    with pytest.raises(PlanError, match="share of a window, above 0 and at most 1"):
        steps(9, 3, step)


@given(st.tuples(*[st.integers(8, 20)] * 3), st.sampled_from([0, 1, 2]), st.integers(1, 9))
def test_rows_hold_every_window_once_in_order(shape, axis, together):
    windows = Windows(shape, (8, 6, 4), axis)
    rows = windows.rows(together)
    corners = [corner for row in rows for corner in row.corners]
    expected = [(i, j, k) for i in steps(shape[0], 8) for j in steps(shape[1], 6) for k in steps(shape[2], 4)]
    assert sorted(corners) == sorted(expected)
    assert [row.first for row in rows] == sorted(row.first for row in rows)
    assert all(row.first == corner[axis] for row in rows for corner in row.corners)
    assert windows.thickness(together) == windows.patch[axis]


def test_single_slices_are_joined_into_rows_of_a_batch():
    windows = Windows((8, 8, 10), (8, 8, 1), axis=2)
    rows = windows.rows(together=4)
    assert [len(row.corners) for row in rows] == [4, 4, 2]
    assert [(row.first, row.stop) for row in rows] == [(0, 4), (4, 8), (8, 10)]
    assert windows.thickness(4) == 4


def test_batches_cut_a_row_into_pieces():
    corners = tuple((n, 0, 0) for n in range(5))
    assert [len(batch) for batch in batches(corners, 2)] == [2, 2, 1]
