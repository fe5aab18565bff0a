import torch

from delineate.networks.build import initialise
from delineate.networks.mask_rcnn.heads import CALM, AnchorHead, BoxHead, Last, MaskHead
from delineate.networks.mask_rcnn.pyramid import Pyramid


def started(module):
    initialise(module, torch.Generator().manual_seed(0))
    return module


def test_what_is_said_of_anchors_comes_place_by_place():
    head = started(AnchorHead(4, 3))
    level = torch.randn(2, 4, 5, 6, generator=torch.Generator().manual_seed(1))
    logits, changes = head(level, 2)
    assert logits.shape == (2, 60)
    assert changes.shape == (2, 60, 4)
    every = head.object(head.look(level).relu())
    assert torch.allclose(logits[1, 2 * (3 * 6 + 4) + 1], every[1, 1, 3, 4])
    moved = head.change(head.look(level).relu())
    assert torch.allclose(changes[0, 2 * (2 * 6 + 5) + 1], moved[0, 4:8, 2, 5])


def test_last_layers_begin_near_zero_and_do_not_stay_there():
    head = started(BoxHead(4, 3, 8, 3))
    kinds, changes = head(torch.randn(9, 4, 3, 3, generator=torch.Generator().manual_seed(1)))
    assert kinds.abs().max() < 20 * CALM
    assert changes.abs().max() < 20 * CALM
    assert kinds.abs().max() > 0
    assert started(Last(torch.nn.Linear(3, 3))).layer.weight.abs().max() > 0


def test_each_region_gets_the_outline_of_its_own_kind():
    head = started(MaskHead(4, 3))
    regions = torch.randn(1, 4, 7, 7, generator=torch.Generator().manual_seed(1)).expand(2, -1, -1, -1)
    one, two = head(regions, torch.tensor([1, 2]))
    again = head(regions, torch.tensor([2, 1]))
    assert one.shape == (14, 14)
    assert torch.equal(again[0], two)
    assert torch.equal(again[1], one)
    assert not torch.equal(one, two)


def test_nothing_to_outline_still_gives_gradients():
    head = started(MaskHead(4, 2))
    head(torch.zeros(0, 4, 7, 7), torch.zeros(0, dtype=torch.long)).sum().backward()
    assert all(parameter.grad is not None for parameter in head.parameters())


def test_fine_levels_of_a_pyramid_know_what_coarse_ones_know():
    pyramid = started(Pyramid((3, 5), 4))
    fine, coarse = torch.zeros(1, 3, 8, 8), torch.zeros(1, 5, 4, 4)
    before = pyramid([fine, coarse])
    assert [tuple(level.shape) for level in before] == [(1, 4, 8, 8), (1, 4, 4, 4)]
    coarse[..., 1, 1] = 1
    changed = (pyramid([fine, coarse])[0] - before[0]).abs().sum((0, 1)) > 0
    assert changed[1:5, 1:5].all()
    assert not changed[6:].any()
