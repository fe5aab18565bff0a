import pytest
import torch

from delineate.networks.mask_rcnn.boxes import overlap
from delineate.networks.mask_rcnn.targets import (
    drawn,
    matched_anchors,
    matched_regions,
    noise,
    outlines,
)
from delineate.networks.mask_rcnn.truth import Truth, truth_of


def truth(*boxes, edge=40):
    labels = torch.zeros((2, edge, edge), dtype=torch.int64)
    for number, (a, b, c, d) in enumerate(boxes, 1):
        labels[0, a:c, b:d], labels[1, a:c, b:d] = 1 + number % 2, number
    return truth_of(labels)


def some_boxes(seed=0, n=200):
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(n, 2, generator=generator) * 30
    return torch.cat([first, first + 4 + 12 * torch.rand(n, 2, generator=generator)], dim=1)


def test_anchors_are_objects_above_point_seven_and_none_below_point_three():
    there, anchors = truth((4, 4, 14, 14), (20, 20, 36, 30)), some_boxes()
    match, best = matched_anchors(anchors, there), overlap(anchors, there.boxes).max(1)
    at_best = torch.zeros(len(anchors), dtype=torch.bool)
    at_best[overlap(anchors, there.boxes).argmax(0)] = True
    assert torch.equal(match.is_object, (best.values >= 0.7) | at_best)
    assert torch.equal(match.is_none, (best.values < 0.3) & ~at_best)
    others = ~at_best
    assert torch.equal(match.which[others], best.indices[others])


def test_every_object_has_an_anchor_even_where_none_fits_well():
    there = truth((4, 4, 8, 30), (20, 20, 36, 30))
    match = matched_anchors(torch.tensor([[0.0, 0, 10, 10], [0, 10, 10, 20], [25, 25, 40, 40]]), there)
    assert set(match.which[match.is_object].tolist()) == {0, 1}
    assert not (match.is_object & match.is_none).any()


def test_an_object_that_no_anchor_touches_has_none():
    match = matched_anchors(torch.tensor([[0.0, 0, 4, 4]]), truth((20, 20, 30, 30)))
    assert not match.is_object.any()
    assert match.is_none.all()


def test_regions_are_objects_from_one_half_on():
    there = truth((0, 0, 10, 10))
    match = matched_regions(torch.tensor([[0.0, 0, 10, 20], [0, 0, 10, 21], [0, 0, 10, 10]]), there)
    assert match.is_object.tolist() == [True, False, True]
    assert torch.equal(match.is_none, ~match.is_object)


@pytest.mark.parametrize("matched", [matched_anchors, matched_regions])
def test_without_objects_nothing_is_one(matched):
    match = matched(some_boxes(n=5), truth())
    assert not match.is_object.any()
    assert match.is_none.all()
    assert len(matched_regions(torch.zeros(0, 4), truth((0, 0, 9, 9))).which) == 0


@pytest.mark.parametrize(
    ("count", "share", "objects", "others"), [(16, 0.5, 8, 8), (64, 0.5, 10, 54), (8, 0.25, 2, 6)]
)
def test_so_many_are_drawn_of_each(count, share, objects, others):
    match = matched_regions(torch.zeros(100, 4), truth())
    match = match._replace(is_object=torch.arange(100) < 10, is_none=torch.arange(100) >= 20)
    chosen = drawn(match, count, share, noise(100, 3, torch.device("cpu")))
    numbers = chosen.numbers.tolist()
    assert chosen.objects == objects == sum(n < 10 for n in numbers)
    assert len(numbers) == len(set(numbers)) == objects + others
    assert not any(10 <= n < 20 for n in numbers)


def test_what_is_drawn_follows_from_the_seed_alone():
    one, same, other = (noise(50, seed, torch.device("cpu")) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    before = torch.random.get_rng_state()
    noise(50, 9, torch.device("cpu"))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_all_that_may_be_drawn_are_drawn_about_as_often():
    match = matched_regions(torch.zeros(40, 4), truth())
    counts = torch.zeros(40)
    for seed in range(400):
        counts[drawn(match, 10, 0.25, noise(40, seed, torch.device("cpu"))).numbers] += 1
    assert counts.min() > 60  # 100 expected, sd 9
    assert counts.max() < 140


def test_outlines_are_read_where_the_object_is():
    labels = torch.zeros((2, 20, 20), dtype=torch.int64)
    labels[:, 4:12, 4:12] = 1
    labels[:, 12:16, 4:12] = 2
    there = truth_of(labels)
    regions = torch.tensor([[4.0, 4, 16, 12], [4.0, 4, 16, 12], [0.0, 0, 8, 8]])
    found = outlines(there, torch.tensor([0, 1, 0]), regions, 6)
    assert found[0].tolist() == [[1.0] * 6] * 4 + [[0.0] * 6] * 2
    assert torch.equal(found[1], 1 - found[0])
    assert found[2].tolist() == [[0.0] * 6] * 3 + [[0.0] * 3 + [1.0] * 3] * 3


def test_truth_is_a_value():
    assert isinstance(truth((0, 0, 9, 9)), Truth)
