"""Skeletons: lines stay, tubes become lines, and the same as MONAI's."""

import pytest
import torch

from delineate.training.skeleton import Lines, soft_cldice, soft_skeleton


def _tube(width, dims):
    values = torch.zeros((1, 1, *(15,) * dims), dtype=torch.float64)
    middle = [slice(7 - width // 2, 8 + width // 2)] * (dims - 1)
    values[(0, 0, slice(None), *middle)] = 1
    return values


@pytest.mark.parametrize("dims", [2, 3])
def test_a_line_is_its_own_skeleton_and_a_tube_is_thinned_to_its_middle(dims):
    line, tube = _tube(1, dims), _tube(5, dims)
    assert torch.equal(soft_skeleton(line), line)
    assert torch.equal(soft_skeleton(tube)[..., 3:-3, :] * line[..., 3:-3, :], line[..., 3:-3, :])
    assert soft_skeleton(tube).sum() < 0.3 * tube.sum()
    assert (soft_skeleton(tube) <= tube).all()


def test_nothing_has_no_skeleton():
    assert not soft_skeleton(torch.zeros((1, 2, 5, 5, 5))).any()


@pytest.mark.parametrize("shape", [(1, 2, 9, 8), (2, 1, 7, 6, 8)])
def test_soft_cldice_is_that_of_monai(shape):
    from monai.losses import SoftclDiceLoss

    generator = torch.Generator().manual_seed(0)
    p = torch.rand(shape, generator=generator, dtype=torch.float64)
    g = (torch.rand(shape, generator=generator) > 0.5).double()
    for sample in range(shape[0]):
        for output in range(shape[1]):
            one, other = (values[sample, output][None, None] for values in (p, g))
            peer = SoftclDiceLoss(smooth=1e-12)(one, other)  # it sums over outputs: one at a time
            assert 1 - soft_cldice(Lines.of(one, other), 1.0).item() == pytest.approx(peer.item(), abs=1e-6)


def test_a_broken_vessel_costs_more_than_a_thin_one_of_the_same_dice():
    whole = _tube(5, 2)
    broken, thin = whole.clone(), _tube(3, 2)
    broken[:, :, 4:10] = 0
    assert broken.sum() == thin.sum()
    assert soft_cldice(Lines.of(thin, whole), 1e-5) > 0.95
    assert soft_cldice(Lines.of(broken, whole), 1e-5) < 0.85


def test_gradients_flow_through_the_predicted_line_only():
    generator = torch.Generator().manual_seed(1)
    p = torch.rand((1, 1, 6, 6), generator=generator, dtype=torch.float64, requires_grad=True)
    g = _tube(3, 2)[:, :, :6, 4:10].requires_grad_()
    assert torch.autograd.gradcheck(lambda p: soft_cldice(Lines.of(p, g.detach()), 1e-5), p)
    soft_cldice(Lines.of(p, g), 1e-5).sum().backward()
    assert p.grad.any()
