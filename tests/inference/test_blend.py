import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data.utils import compute_importance_map
from scipy import ndimage

from delineate.inference import importance, steps
from delineate.inference.blend import FLOOR, Slab
from delineate.inference.scratch import Scratch

CPU = Scratch(torch.device("cpu"))
EVERY = slice(None)


@pytest.mark.parametrize("patch", [(16, 24, 10), (7, 9, 1), (32, 48)])
def test_importance_is_monais_gaussian(patch):
    theirs = compute_importance_map(patch, mode="gaussian", sigma_scale=0.125, dtype=torch.float32)
    assert torch.allclose(importance(patch), theirs.clamp(min=FLOOR), atol=1e-6)


@pytest.mark.parametrize("patch", [(16, 24, 10), (7, 9, 1), (32, 48), (40, 56, 40)])
def test_weights_about_a_voxel_are_nnunets(patch):
    """A point in the voxel after the middle, blurred; in float16, the least positive weight instead of 0."""
    point = np.zeros(patch)
    point[tuple(n // 2 for n in patch)] = 1
    blurred = ndimage.gaussian_filter(point, [n / 8 for n in patch], mode="constant")
    theirs = (10 * blurred / blurred.max()).astype(np.float16)
    theirs[theirs == 0] = theirs[theirs > 0].min()
    ours = importance(patch, "voxel").numpy()
    assert np.allclose(ours, theirs.astype(np.float32), rtol=2e-3, atol=6e-8)
    assert (ours > 0).all()


def test_importance_is_the_same_from_all_sides():
    weights = importance((8, 9, 4))
    assert torch.equal(weights, weights.flip(0, 1, 2))
    assert float(weights.max()) <= 1


@settings(deadline=None, max_examples=30)
@given(st.integers(4, 12), st.integers(0, 20), st.floats(0.2, 1), st.integers(0, 99))
def test_weights_are_a_partition_of_unity(window, more, step, seed):
    """What all windows say of a voxel comes out as it went in, whatever the overlap."""
    size = window + more
    truth = torch.randn(2, size, 3, 4, generator=torch.Generator().manual_seed(seed))
    weights = importance((window, 3, 4))
    slab = Slab(2, size, (3, 4), CPU)
    for start in steps(size, window, step):
        slab.add(truth[:, start : start + window], weights, (start, 0, 0))
    got = torch.stack([slab.plane(n, EVERY) for n in range(size)], dim=1)
    assert torch.allclose(got, truth, atol=1e-5)


def test_a_sliding_slab_gives_the_same_as_one_that_holds_everything():
    truth = torch.randn(2, 20, 3, 4, generator=torch.Generator().manual_seed(0))
    weights = importance((6, 3, 4))
    whole, sliding, got = Slab(2, 20, (3, 4), CPU), Slab(2, 6, (3, 4), CPU), []
    starts = steps(20, 6)
    for start, after in zip(starts, [*starts[1:], 20], strict=True):
        sliding.slide(start)
        for slab in (whole, sliding):
            slab.add(truth[:, start : start + 6], weights, (start, 0, 0))
        got += [sliding.plane(n, EVERY) for n in range(start, after)]
    assert torch.equal(
        torch.stack(got, dim=1), torch.stack([whole.plane(n, EVERY) for n in range(20)], dim=1)
    )


def test_sums_are_float32_whatever_comes_in():
    slab, scores = (
        Slab(3, 4, (4, 4), CPU),
        torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(0)),
    )
    for _ in range(2):
        slab.add(scores.bfloat16(), importance((4, 4, 4)), (0, 0, 0))
    assert torch.allclose(slab.plane(2, EVERY), scores[:, 2].bfloat16().float(), atol=1e-6)


def test_sliding_past_everything_leaves_nothing():
    slab = Slab(1, 2, (1, 1), CPU)
    slab.add(torch.ones(1, 2, 1, 1), torch.ones(2, 1, 1), (0, 0, 0))
    slab.slide(9)
    slab.add(torch.full((1, 2, 1, 1), 5.0), torch.ones(2, 1, 1), (9, 0, 0))
    assert slab.plane(10, EVERY).item() == 5


def test_the_plane_before_a_row_is_kept_and_classes_can_be_had_one_by_one():
    slab, ones = Slab(2, 3, (1, 1), CPU), torch.ones(3, 1, 1)
    slab.add(torch.arange(6.0).reshape(2, 3, 1, 1), ones, (0, 0, 0))
    slab.slide(3)
    slab.add(torch.full((2, 3, 1, 1), 9.0), ones, (3, 0, 0))
    assert slab.plane(2, EVERY).flatten().tolist() == [2, 5]
    assert slab.plane(2, slice(1, 2)).flatten().tolist() == [5]
    assert slab.plane(3, EVERY).flatten().tolist() == [9, 9]
