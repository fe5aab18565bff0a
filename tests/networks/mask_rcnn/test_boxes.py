import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from delineate.networks.mask_rcnn.boxes import area, change, changed, clipped, overlap


def some(seed, n, size=50.0):
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(n, 2, generator=generator) * size
    return torch.cat([first, first + 1 + torch.rand(n, 2, generator=generator) * size], dim=1)


def test_the_overlap_of_two_boxes_is_what_they_share_of_both():
    a = torch.tensor([[0.0, 0.0, 4.0, 2.0]])
    b = torch.tensor([[2.0, 0.0, 6.0, 2.0], [0.0, 0.0, 4.0, 2.0], [4.0, 0.0, 5.0, 2.0], [3.0, 3.0, 3.0, 3.0]])
    assert overlap(a, b).tolist() == [[pytest.approx(4 / 12), 1.0, 0.0, 0.0]]
    assert area(b).tolist() == [8.0, 8.0, 2.0, 0.0]
    assert overlap(b[3:], b[3:]).tolist() == [[0.0]]  # nothing beside nothing


@given(st.integers(0, 10_000))
def test_a_box_is_its_anchor_changed(seed):
    anchors, boxes = some(seed, 8), some(seed + 1, 8)
    assert torch.allclose(changed(anchors, change(anchors, boxes)), boxes, atol=1e-3)
    assert torch.allclose(changed(anchors, torch.zeros(8, 4)), anchors, atol=1e-4)


def test_no_change_is_so_wild_that_a_box_becomes_infinite():
    assert torch.isfinite(changed(some(0, 1), torch.full((1, 4), 1e4))).all()


def test_clipped_boxes_lie_within_the_image():
    boxes = clipped(torch.tensor([[-3.0, 2.0, 5.0, 40.0]]), (10, 20))
    assert boxes.tolist() == [[0.0, 2.0, 5.0, 20.0]]
