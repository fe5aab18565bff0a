import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from delineate.networks.mask_rcnn.boxes import overlap
from delineate.networks.mask_rcnn.nms import kept


def one_after_the_other(boxes, scores, limit, kinds=None):
    """The textbook: take the best that is left, drop what it covers."""
    left = sorted(range(len(boxes)), key=lambda n: (-float(scores[n]), n))
    result = []
    while left:
        best = left.pop(0)
        result.append(best)
        left = [
            n
            for n in left
            if (kinds is not None and kinds[n] != kinds[best])
            or float(overlap(boxes[best][None], boxes[n][None])) <= limit
        ]
    return result


@st.composite
def crowds(draw):
    n, seed = draw(st.integers(0, 40)), draw(st.integers(0, 10_000))
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(n, 2, generator=generator) * draw(st.sampled_from([3.0, 20.0]))
    boxes = torch.cat([first, first + 0.5 + 8 * torch.rand(n, 2, generator=generator)], dim=1)
    scores = torch.randint(0, 8, (n,), generator=generator) / 8  # many ties
    return boxes, scores, torch.randint(0, 2, (n,), generator=generator)


@given(crowds(), st.sampled_from([0.0, 0.3, 0.5, 0.9]), st.booleans())
def test_the_boxes_that_stay_are_those_of_the_textbook(crowd, limit, by_kind):
    boxes, scores, kinds = crowd
    kinds = kinds if by_kind else None
    assert kept(boxes, scores, limit, kinds).tolist() == one_after_the_other(boxes, scores, limit, kinds)


def test_a_chain_of_boxes_is_decided_from_its_best_end():
    n = 30
    first = torch.arange(n, dtype=torch.float32)[:, None] * torch.tensor([[1.0, 0.0]])
    boxes = torch.cat([first, first + torch.tensor([3.0, 3.0])], dim=1)  # each covers half of the next
    assert kept(boxes, -torch.arange(n), 0.4).tolist() == list(range(0, n, 2))


def test_a_thousand_boxes_are_decided_as_by_the_textbook():
    generator = torch.Generator().manual_seed(3)
    first = torch.rand(1000, 2, generator=generator) * 200
    boxes = torch.cat([first, first + 5 + 20 * torch.rand(1000, 2, generator=generator)], dim=1)
    scores = torch.rand(1000, generator=generator)
    stays, covers = torch.ones(1000, dtype=torch.bool), overlap(boxes, boxes) > 0.5
    order = scores.argsort(descending=True)
    for place, best in enumerate(order):
        if stays[best]:
            stays[order[place + 1 :][covers[best, order[place + 1 :]]]] = False
    assert kept(boxes, scores, 0.5).tolist() == [n for n in order.tolist() if stays[n]]


def test_no_boxes_are_none_afterwards():
    assert kept(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []


@pytest.mark.parametrize("limit", [0.33, 0.34])
def test_a_box_goes_only_above_the_limit(limit):
    boxes = torch.tensor([[0.0, 0.0, 4.0, 2.0], [2.0, 0.0, 6.0, 2.0]])  # IoU 1/3
    assert len(kept(boxes, torch.tensor([1.0, 0.5]), limit)) == (1 if limit < 1 / 3 else 2)
