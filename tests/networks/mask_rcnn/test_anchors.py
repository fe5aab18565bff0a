import torch

from delineate.networks.mask_rcnn.anchors import anchors, shapes
from delineate.networks.mask_rcnn.boxes import area, edges_of


def test_anchors_have_their_size_and_ratio():
    found = shapes((8.0, 16.0), (0.5, 1.0, 2.0))
    assert found.shape == (6, 2)
    assert torch.allclose(found.prod(-1).sqrt(), torch.tensor([8.0] * 3 + [16.0] * 3))
    assert torch.allclose(found[:, 0] / found[:, 1], torch.tensor([0.5, 1.0, 2.0] * 2))


def test_anchors_are_about_the_middle_of_what_a_place_covers():
    found = anchors((2, 3), (4, 8), (6.0,), (1.0,))
    middles = (found[:, :2] + found[:, 2:]) / 2
    assert middles.tolist() == [[2, 4], [2, 12], [2, 20], [6, 4], [6, 12], [6, 20]]
    assert torch.allclose(area(found), torch.tensor(36.0))
    assert torch.allclose(edges_of(found), torch.tensor(6.0))


def test_the_anchors_of_a_place_come_together():
    found = anchors((1, 2), (4, 4), (2.0, 4.0), (1.0,))
    assert found[:2, 1].add(found[:2, 3]).tolist() == [4.0, 4.0]
    assert edges_of(found)[:, 0].tolist() == [2.0, 4.0, 2.0, 4.0]
