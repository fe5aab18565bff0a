"""Labels of a previous stage get worse as drawn, and become channels."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from delineate.preparation.cascade import (
    OPERATIONS,
    Corruption,
    Loss,
    Reshape,
    draw_corruption,
    one_hot,
)

CUBE = (1.0, 1.0, 1.0)


def ball(radius, dims=3):
    grid = np.indices((2 * radius + 1,) * dims) - radius
    return (grid**2).sum(0) <= radius**2


def blobs(seed=0, shape=(20, 18, 16), share=0.4):
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 2)
    return smooth > np.quantile(smooth, 1 - share)


def changed(labels, corruption):
    return corruption.apply(torch.from_numpy(labels.astype(np.int16))).numpy()


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("radius", [1, 3])
def test_operations_are_scipys_with_a_ball(operation, radius):
    mask, around = blobs(), 8  # far from the border of the patch, where conventions differ
    mask[:around] = mask[-around:] = False
    mask = np.pad(mask, around)
    scipys = {
        "dilate": ndimage.binary_dilation,
        "erode": ndimage.binary_erosion,
        "open": ndimage.binary_opening,
        "close": ndimage.binary_closing,
    }[operation]
    after = changed(mask, Corruption(CUBE, (Reshape(1, operation, radius),)))
    assert (after == scipys(mask, ball(radius))).all()


def test_the_ball_is_round_in_the_patient():
    point = np.zeros((21, 21, 21), int)
    point[10, 10, 10] = 1
    grown = changed(point, Corruption((1.0, 2.0, 4.0), (Reshape(1, "dilate", 4),)))
    extent = [np.ptp(axis) // 2 for axis in np.nonzero(grown)]
    assert extent == [4, 2, 1]


def test_a_label_that_grows_displaces_its_neighbour_and_one_that_shrinks_leaves_background():
    labels = np.ones((1, 9), int)
    labels[:, 4:] = 2
    grown = changed(labels, Corruption((1.0, 1.0), (Reshape(1, "dilate", 2),)))
    assert grown.tolist() == [[1, 1, 1, 1, 1, 1, 2, 2, 2]]
    shrunk = changed(labels, Corruption((1.0, 1.0), (Reshape(1, "erode", 2),)))
    assert shrunk.tolist() == [[1, 1, 0, 0, 2, 2, 2, 2, 2]]


@pytest.mark.parametrize("fill", [0, 1])
def test_empty_and_full_patches_stay_as_they_are(fill):
    labels = np.full((6, 6, 6), fill)
    everything = Corruption(CUBE, tuple(Reshape(1, operation, 3) for operation in OPERATIONS))
    assert (changed(labels, everything) == fill).all()


def test_small_pieces_may_be_lost_and_large_ones_stay():
    labels = np.zeros((10, 10, 10), int)
    labels[:4] = 1  # 40 % of the patch
    labels[6, 1, 1] = labels[6, 8, 8] = labels[8, 1, 8] = 1
    for which, lost in ((0.0, (6, 1, 1)), (0.5, (6, 8, 8)), (0.99, (8, 1, 8))):
        after = changed(labels, Corruption(CUBE, losses=(Loss(1, which),)))
        assert (np.argwhere(after != labels) == [lost]).all()
    labels[5:] = 0
    assert (changed(labels, Corruption(CUBE, losses=(Loss(1, 0.5),))) == labels).all()


def test_pieces_that_touch_at_a_corner_are_one():
    labels = np.eye(8, dtype=int)
    assert not changed(labels, Corruption((1.0, 1.0), losses=(Loss(1, 0.3),))).any()


def test_the_input_is_not_touched():
    labels = torch.from_numpy(blobs().astype(np.int16))
    before = labels.clone()
    Corruption(CUBE, (Reshape(1, "erode", 2),), (Loss(1, 0.1),)).apply(labels)
    assert torch.equal(labels, before)


def test_no_corruption_gives_the_same_tensor():
    labels = torch.zeros(4, 4)
    assert Corruption((1.0, 1.0)).apply(labels) is labels


def test_draws_keep_to_the_probabilities_of_the_method():
    rng = np.random.default_rng(0)
    drawn = [draw_corruption(rng, 3, CUBE) for _ in range(4000)]
    reshapes = [change for corruption in drawn for change in corruption.reshapes]
    losses = [loss for corruption in drawn for loss in corruption.losses]
    assert len(reshapes) / 4000 == pytest.approx(0.4 * 0.5 * 3, abs=0.04)
    assert len(losses) / 4000 == pytest.approx(0.2 * 0.5 * 3, abs=0.04)
    assert {change.radius for change in reshapes} == set(range(1, 9))
    assert {change.operation for change in reshapes} == set(OPERATIONS)
    assert {change.label for change in reshapes} == {1, 2, 3}


def test_labels_become_channels_without_background():
    channels = one_hot(torch.tensor([[0, 1, 2], [-1, 2, 3]]), 3)
    assert channels.dtype == torch.float32
    assert channels.tolist() == [[[0, 1, 0], [0, 0, 0]], [[0, 0, 1], [0, 1, 0]], [[0, 0, 0], [0, 0, 1]]]
