import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.space import Box

masks = hnp.arrays(bool, hnp.array_shapes(min_dims=3, max_dims=3, max_side=7))
starts = st.tuples(*[st.integers(-5, 8)] * 3)


@given(masks)
def test_a_box_around_a_mask_holds_all_of_it_and_is_tight(mask):
    box = Box.around(mask)
    if box is None:
        assert not mask.any()
        return
    inside = mask[box.slices]
    assert inside.sum() == mask.sum()
    for axis in range(3):
        assert inside.take(0, axis).any()
        assert inside.take(-1, axis).any()


@given(starts, st.tuples(*[st.integers(1, 6)] * 3), st.integers(0, 5))
def test_growing_and_shrinking_undo_each_other(start, shape, margin):
    box = Box(start, tuple(a + n for a, n in zip(start, shape, strict=True)))
    assert box.shape == shape
    assert box.grown(margin).shape == tuple(n + 2 * margin for n in shape)
    assert box.grown(margin).grown(-margin) == box


@given(starts, st.tuples(*[st.integers(1, 6)] * 3))
def test_a_clipped_box_indexes_the_voxels_that_exist(start, shape):
    grid = np.ones((6, 7, 8), bool)
    box = Box(start, tuple(a + n for a, n in zip(start, shape, strict=True)))
    clipped = box.clipped(grid.shape)
    padded = np.zeros((30, 30, 30), bool)
    padded[10:16, 10:17, 10:18] = True
    expected = padded[tuple(slice(a + 10, b + 10) for a, b in zip(box.start, box.stop, strict=True))].sum()
    assert grid[clipped.slices].sum() == expected
    assert min(clipped.shape) >= 0


@given(masks, masks)
def test_joined_boxes_hold_both_masks(a, b):
    shape = np.maximum(a.shape, b.shape)
    both = np.zeros(shape, bool)
    for mask in (a, b):
        both[tuple(slice(n) for n in mask.shape)] |= mask
    one, other = Box.around(a), Box.around(b)
    if one is not None and other is not None:
        assert one.joined(other) == other.joined(one) == Box.around(both)
