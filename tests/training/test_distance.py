"""Distances: by brute force, by MONAI, and what they do to a loss."""

import itertools

import pytest
import torch

from delineate.training.distance import boundary, hausdorff, signed_distance


def _ball(shape=(1, 1, 7, 8)):
    values = torch.zeros(shape, dtype=torch.float64)
    values[:, :, 2:5, 3:6] = 1
    return values


def _by_hand(mask, sides):
    places = list(itertools.product(*map(range, mask.shape)))
    field = torch.zeros(mask.shape, dtype=torch.float64)
    for here in places:
        gaps = [
            sum(((a - b) * side) ** 2 for a, b, side in zip(here, there, sides, strict=True)) ** 0.5
            for there in places
            if bool(mask[there]) != bool(mask[here])
        ]
        field[here] = min(gaps) * (-1 if mask[here] else 1)
    return field


@pytest.mark.parametrize("sides", [(1.0, 1.0), (1.0, 2.5)])
def test_distances_are_those_to_the_nearest_voxel_beyond_the_border(sides):
    found = signed_distance(_ball(), sides)
    assert torch.allclose(found[0, 0], _by_hand(_ball()[0, 0] > 0, sides), atol=1e-6)


def test_a_structure_that_is_nowhere_or_everywhere_has_no_border():
    assert not signed_distance(torch.zeros((2, 1, 4, 4, 4)), (1, 1, 1)).any()
    assert not signed_distance(torch.ones((2, 1, 4, 4, 4)), (1, 1, 1)).any()


@pytest.mark.parametrize("batch", [False, True])
def test_hausdorff_is_that_of_monai(batch):
    from monai.losses import HausdorffDTLoss

    p = torch.rand((2, 1, 7, 8), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    g = _ball(p.shape)
    peer = HausdorffDTLoss(include_background=True, batch=batch)(p, g)
    assert hausdorff(p, g, (1, 1)).mean().item() == pytest.approx(peer.item(), abs=1e-5, rel=1e-6)


def test_the_right_answer_costs_least_and_a_far_error_most():
    g = _ball()
    near, far = g.clone(), g.clone()
    near[..., 5, 4], far[..., 0, 0] = 1, 1
    for loss in (boundary, hausdorff):
        right, beside, away = (loss(p, g, (1, 1)).mean().item() for p in (g, near, far))
        assert right < beside < away


@pytest.mark.parametrize("loss", [boundary, hausdorff])
def test_the_gradients_of_distances_are_those_of_small_differences(loss):
    p = torch.rand((1, 1, 7, 8), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda p: loss(p, _ball(), (1, 1.5)), p.requires_grad_())
