import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage.measure import euler_number, label
from skimage.morphology import skeletonize

from delineate.evaluation.shapes.thinning import centerline

masks = hnp.arrays(bool, (5, 6, 4))
shares = st.floats(0.05, 0.95)


def topology(mask):
    """Pieces, cavities and the Euler number: by these, the number of tunnels too."""
    outside = label(~np.pad(mask, 1), connectivity=1).max()
    return label(mask, connectivity=3).max(), outside, euler_number(mask, connectivity=3)


@given(masks)
@settings(max_examples=60)
def test_thinning_keeps_every_piece_tunnel_and_cavity(mask):
    line = centerline(mask)
    assert (line <= mask).all()
    assert topology(line) == topology(mask)


@pytest.mark.parametrize("seed", range(8))
def test_thinning_keeps_the_topology_of_sponges(seed):
    rng = np.random.default_rng(seed)
    mask = ndimage.gaussian_filter(rng.random((20, 18, 16)), 1) > rng.uniform(0.45, 0.55)
    line = centerline(mask)
    assert topology(line) == topology(mask)


@given(masks)
@settings(max_examples=30)
def test_a_line_is_not_thinned_any_further(mask):
    line = centerline(mask)
    assert np.array_equal(centerline(line), line)


def tube(width, length=40):
    mask = np.zeros((width + 6, width + 6, length + 8), bool)
    mask[3 : 3 + width, 3 : 3 + width, 4 : 4 + length] = True
    return mask


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6, 9, 10, 11, 12])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_tube_of_any_width_becomes_a_line_through_its_middle(width, axis):
    line = np.moveaxis(centerline(np.moveaxis(tube(width), 2, axis)), axis, 2)
    places = np.argwhere(line)
    slices = places[:, 2]
    assert len(np.unique(slices)) == len(slices)  # one voxel a slice
    assert (np.diff(np.sort(slices)) == 1).all()
    assert 40 - len(slices) <= width + 1  # each end loses about half the width
    assert np.abs(places[:, :2] - (3 + (width - 1) / 2)).max() <= 1.5
    inner = places[(slices > 4 + width) & (slices < 44 - width)]
    assert np.abs(inner[:, :2] - (3 + (width - 1) / 2)).max() <= 0.5


@pytest.mark.parametrize("width", [2, 4, 10, 12])
def test_the_peer_leaves_nothing_of_a_tube_of_even_width(width):
    """Why there is a thinning of our own; may this test fail one day."""
    assert not skeletonize(tube(width)).any()
    assert centerline(tube(width)).any()


@pytest.mark.parametrize("width", [3, 5, 9, 11])
def test_a_tube_of_odd_width_becomes_the_line_of_the_peer_but_for_its_ends(width):
    ours, theirs = centerline(tube(width)), skeletonize(tube(width)) > 0
    assert (theirs <= ours).all()
    assert ours.sum() - theirs.sum() <= 2


def test_an_even_branch_of_an_odd_trunk_is_kept():
    mask = np.zeros((12, 40, 12), bool)
    mask[2:7, 2:20, 2:7] = True  # 5 wide
    mask[3:5, 18:38, 3:5] = True  # 2 wide
    line = centerline(mask)
    assert np.flatnonzero(line.any(axis=(0, 2)))[-1] >= 34


def test_a_ball_becomes_a_point_and_a_bump_makes_no_branch():
    for radius in (1, 5, 12):
        ball = (np.indices((2 * radius + 3,) * 3) - radius - 1) ** 2
        line = centerline(ball.sum(axis=0) <= radius**2)
        assert 1 <= line.sum() <= 3


def test_a_ring_stays_a_ring_and_a_shell_stays_closed():
    x, y, z = np.indices((30, 30, 14)) - np.array([14.5, 14.5, 6.5])[:, None, None, None]
    ring = centerline((np.hypot(x, y) - 9) ** 2 + z**2 <= 9)
    assert topology(ring) == (1, 1, 0)
    assert ring.sum() < 80
    shell = np.zeros((12, 12, 12), bool)
    shell[2:10, 2:10, 2:10] = True
    shell[4:8, 4:8, 4:8] = False
    assert topology(centerline(shell)) == (1, 2, 2)


@given(st.integers(1, 6), st.integers(0, 2))
@settings(max_examples=12)
def test_a_picture_is_thinned_in_its_plane(width, axis):
    picture = np.zeros((20, 40), bool)
    picture[5 : 5 + width, 4:36] = True
    line = np.squeeze(centerline(np.expand_dims(picture, axis)), axis)
    assert (line.sum(axis=0) <= 1).all()
    assert line.sum() >= 32 - width - 1


def test_nothing_is_left_of_nothing_and_a_voxel_of_a_voxel():
    none = np.zeros((3, 4, 5), bool)
    assert not centerline(none).any()
    one = none.copy()
    one[2, 3, 4] = True  # in the corner of the grid
    assert np.array_equal(centerline(one), one)
    assert centerline(np.ones((3, 3, 3), bool)).sum() >= 1
