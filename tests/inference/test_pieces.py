"""Pieces of objects: tiles see the same as the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.inference.pieces import Piece, agreed, common, joined, painted, pasted, pieces
from delineate.inference.windows import steps
from delineate.networks.mask_rcnn import Found

IMAGE = (0, 0, 64, 64)


def rectangle(corner, edges, *, kind=1, score=0.9, window=(0, 0, 64, 64), is_cut=False):
    return Piece(corner, np.ones(edges, bool), kind, score, window, is_cut)


def seen(ids, window, *, scores=None):
    """What a perfect network sees of a map of ids in a window: every object, with a full mask for its box."""
    part = ids[window[0] : window[2], window[1] : window[3]]
    rows = []
    for number in np.unique(part[part > 0]):
        i, j = np.nonzero(part == number)
        rows.append(((i.min(), j.min(), i.max() + 1, j.max() + 1), (scores or {}).get(number, 0.9)))
    boxes = torch.tensor([box for box, _ in rows], dtype=torch.float32).reshape(-1, 4)
    found = Found(
        boxes,
        torch.tensor([score for _, score in rows], dtype=torch.float32),
        torch.ones(len(rows), dtype=torch.long),
        torch.ones((len(rows), 28, 28)),
    )
    return pieces(found, window, (0, 0, *ids.shape))


def tiled(ids, edge, step=0.5):
    """The map that windows give together."""
    corners = [(a, b) for a in steps(ids.shape[0], edge, step) for b in steps(ids.shape[1], edge, step)]
    windows = [(a, b, a + edge, b + edge) for a, b in corners]
    every = [piece for window in windows for piece in seen(ids, window)]
    return painted(joined(every, windows, (0, 0, *ids.shape)), ids.shape)


def same_partition(a, b):
    """Whether two maps are the same but for the names of their objects."""
    pairs = np.unique(np.stack([a.ravel(), b.ravel()]), axis=1)
    return len(pairs[0]) == len(np.unique(a)) == len(np.unique(b)) and ((a > 0) == (b > 0)).all()


@st.composite
def boxes_on_a_lattice(draw):
    """Rectangles that do not touch, some longer than any window."""
    shape = (draw(st.integers(48, 96)), draw(st.integers(48, 96)))
    ids, number = np.zeros(shape, np.int32), 0
    i = draw(st.integers(0, 4))
    while i < shape[0] - 3:
        height = draw(st.integers(3, 30))
        j = draw(st.integers(0, 4))
        while j < shape[1] - 3:
            width = draw(st.integers(3, 60))
            number += 1
            ids[i : i + height, j : j + width] = number
            j += width + draw(st.integers(2, 9))
        i += height + draw(st.integers(2, 9))
    return ids


@settings(max_examples=30, deadline=None)
@given(boxes_on_a_lattice())
def test_tiles_see_the_same_objects_as_the_whole(ids):
    found, kept = tiled(ids, 32)
    assert same_partition(found, ids)
    assert len(kept) == len(np.unique(ids)) - 1


@pytest.mark.parametrize("step", [0.5, 0.75])
def test_an_object_longer_than_all_windows_is_put_together(step):
    ids = np.zeros((40, 200), np.int32)
    ids[5:12, 3:190] = 1
    found, kept = tiled(ids, 32, step)
    assert len(kept) == 1
    assert (found > 0).sum() == (ids > 0).sum()


def test_what_one_window_sees_whole_is_taken_from_it():
    whole = rectangle((10, 20), (8, 10), score=0.6, window=(0, 0, 32, 40))
    part = rectangle((10, 20), (8, 4), score=0.9, window=(0, 0, 32, 24), is_cut=True)
    (found,) = joined([part, whole], [], IMAGE)
    assert found.mask.shape == (8, 10)
    assert found.score == 0.6


def test_neighbours_on_both_sides_of_a_window_are_not_joined():
    left = rectangle((0, 20), (8, 12), window=(0, 0, 32, 32), is_cut=True)
    right = rectangle((0, 30), (8, 12), window=(0, 16, 32, 48), is_cut=False)
    assert len(joined([left, right], [], IMAGE)) == 2


def test_objects_of_two_kinds_are_two():
    two = [rectangle((0, 0), (4, 4)), rectangle((0, 0), (4, 4), kind=2, window=(0, 0, 9, 9))]
    assert len(joined(two, [], IMAGE)) == 2


def test_windows_that_see_nothing_in_common_join_nothing():
    a = rectangle((0, 0), (8, 8), window=(0, 0, 8, 8), is_cut=True)
    b = rectangle((8, 0), (8, 8), window=(8, 0, 16, 8), is_cut=True)
    assert len(joined([a, b], [(0, 0, 8, 8), (8, 0, 16, 8)], IMAGE)) == 2


def test_a_piece_that_a_wider_view_does_not_see_is_no_object():
    half = rectangle((20, 10), (12, 10), window=(0, 0, 32, 32), is_cut=True)
    own, wider, narrow = (0, 0, 32, 32), (16, 0, 48, 32), (32, 0, 64, 32)
    assert joined([half], [own, wider], IMAGE) == []
    assert joined([half], [own, narrow], IMAGE) == [half]  # nobody sees it and what lies behind
    at_border = rectangle((52, 10), (12, 10), window=(32, 0, 64, 32))
    assert joined([at_border], [(32, 0, 64, 32), (40, 0, 64, 40)], IMAGE) == [at_border]


def test_the_score_of_an_object_is_the_mean_of_the_networks():
    ones, twos = [rectangle((0, 0), (8, 8), score=0.9), rectangle((30, 30), (5, 5), score=0.8)], []
    twos = [rectangle((0, 1), (8, 8), score=0.7)]
    found = sorted(agreed([ones, twos]), key=lambda piece: -piece.score)
    assert [piece.score for piece in found] == pytest.approx([0.8, 0.4])
    assert found[0].corner == (0, 0)  # as the surest saw it
    assert agreed([ones]) == ones


def test_the_surest_object_takes_the_voxels_and_a_remnant_is_none():
    sure, most, rest = (
        rectangle((0, 0), (10, 10), score=0.9),
        rectangle((0, 8), (10, 10), score=0.8),
        rectangle((0, 3), (10, 10), score=0.7),
    )
    ids, kept = painted([rest, most, sure], (20, 20))
    assert kept == [sure, most]
    assert (ids == 1).sum() == 100
    assert (ids == 2).sum() == 80


def test_without_objects_the_map_is_empty():
    ids, kept = painted(joined([], [], IMAGE), (5, 6))
    assert ids.shape == (5, 6)
    assert not ids.any()
    assert kept == []
    assert agreed([[], []]) == []


def test_a_mask_is_read_at_the_middle_of_each_voxel():
    mask = torch.zeros(4, 4)
    mask[:2] = 1  # the upper half of the box
    corner, voxels = pasted(mask, torch.tensor([2.0, 3.0, 10.0, 7.0]), (20, 20))
    assert corner == (2, 3)
    assert voxels.shape == (8, 4)
    assert voxels[:4].all()
    assert not voxels[4:].any()


def test_a_box_beyond_the_window_or_without_extent_holds_nothing():
    assert pasted(torch.ones(4, 4), torch.tensor([20.0, 3.0, 25.0, 7.0]), (20, 20))[1].size == 0
    nothing = Found(
        torch.tensor([[1.0, 1, 5, 5]]), torch.tensor([0.9]), torch.tensor([1]), torch.zeros(1, 4, 4)
    )
    assert list(pieces(nothing, (0, 0, 9, 9), (0, 0, 9, 9))) == []


@pytest.mark.parametrize(
    ("corner", "window", "is_cut"),
    [
        ((0, 10), (0, 0, 32, 32), False),  # at the border of the image
        ((0, 10), (8, 0, 40, 32), True),  # at the border of the window
        ((1, 10), (8, 0, 40, 32), True),
        ((2, 10), (8, 0, 40, 32), False),
        ((28, 10), (0, 0, 32, 32), True),
        ((28, 10), (32, 0, 64, 32), False),
        ((10, 28), (0, 0, 32, 32), True),
    ],
)
def test_an_object_is_cut_where_its_window_ends_and_the_image_goes_on(corner, window, is_cut):
    box = torch.tensor([[*corner, corner[0] + 4, corner[1] + 4]], dtype=torch.float32)
    found = Found(box, torch.tensor([0.9]), torch.tensor([1]), torch.ones(1, 4, 4))
    (piece,) = pieces(found, window, (0, 0, 64, 64))
    assert piece.is_cut == is_cut


def test_rectangles_share_what_both_hold():
    assert common((0, 0, 4, 4), (2, 3, 9, 9)) == (2, 3, 4, 4)
    assert common((0, 0, 4, 4), (4, 0, 9, 9)) is None
