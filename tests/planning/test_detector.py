"""Mask R-CNN, as the planner lays it out for objects that were measured."""

import math
from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from delineate.cli.wishes import Network
from delineate.errors import PlanError, RecordError
from delineate.planning import Plan, make_plan
from delineate.planning.objects import ObjectSizes, sizes_of


def crowd(size, aspect=1.0, count=9, edge=256, spacing=(1.0, 1.0, 1.0)):
    """The objects of a picture on a lattice, of one size and aspect."""
    ids = np.zeros((edge, edge, 1), np.int32)
    i, j = max(1, round(size * math.sqrt(aspect))), max(1, round(size / math.sqrt(aspect)))
    steps = math.isqrt(count)
    for n in range(count):
        a, b = (edge // steps * k for k in divmod(n, steps))
        ids[a : a + i, b : b + j] = n + 1
    return sizes_of(ids, spacing)


@pytest.fixture
def planned(fingerprint_of):
    def plan(objects, *, shape=(256, 256, 1), spacing=(1.0, 1.0, 1.0), labels=("nucleus",), **wishes):
        found = fingerprint_of([shape] * 12, spacing, labels=labels).but(objects=objects)
        return make_plan(found, network="mask_rcnn", **wishes)

    return plan


def detector(plan):
    return plan.configuration().network.detector


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_plan_reads_back_and_has_a_reason_for_every_field(planned, device):
    plan = planned(ObjectSizes.sum([crowd(8), crowd(40)]), device=device, minutes=10)
    assert Plan.from_json(plan.to_json(), where="plan") == plan
    assert plan.use == ("2d",)
    assert plan.training.loss == "mask_rcnn"
    assert plan.finds_objects
    fields = plan.configuration().network.model_dump(exclude_none=True)
    for field in (*fields, *(f"detector.{name}" for name in fields["detector"])):
        assert plan.reasons[f"configurations.2d.network.{field}"]
    assert "the network's own" in plan.reasons["training.loss"]


def test_anchors_reach_from_small_to_large_objects_in_even_steps(planned):
    sizes = [
        size for level in detector(planned(ObjectSizes.sum([crowd(8), crowd(40)]))).sizes for size in level
    ]
    assert sizes[0] == pytest.approx(8, rel=0.01)
    assert sizes[-1] >= 40 * 0.99
    assert all(b / a == pytest.approx(math.sqrt(2), rel=0.02) for a, b in pairwise(sizes))


@pytest.mark.parametrize("size", [2, 5, 11, 23, 60])
def test_objects_of_every_size_cover_a_few_places_of_their_level(planned, size):
    spec = planned(crowd(size)).configuration().network
    stride = math.prod(step[0] for step in spec.strides[: spec.detector.level + 1])
    assert stride <= max(1, size / 2.5) < 2 * stride
    assert len(spec.detector.sizes) == len(spec.features) - spec.detector.level


def test_sizes_are_those_on_the_grid_of_the_network(planned):
    fine = planned(crowd(20, spacing=(0.5, 0.5, 1.0)), spacing=(0.5, 0.5, 1.0))
    assert detector(fine).sizes[0][0] == pytest.approx(20, rel=0.01)


def test_oblong_objects_get_oblong_anchors_and_round_ones_do_not(planned):
    assert detector(planned(crowd(20))).ratios == (1.0,)
    assert detector(planned(crowd(20, aspect=2.3))).ratios == pytest.approx((0.43, 1.0, 2.3), rel=0.1)
    assert max(detector(planned(crowd(20, aspect=9.0, count=4))).ratios) == 3.0


def test_crowded_pictures_have_more_boxes_looked_at(planned):
    few, many = detector(planned(crowd(6, count=4))), detector(planned(crowd(6, count=400)))
    assert few.proposals < many.proposals
    assert few.regions < many.regions
    assert few.objects < many.objects
    assert many.proposals == 1024  # and no more


def test_time_cuts_the_patch_but_leaves_room_for_two_large_objects(planned):
    plan = planned(crowd(60), shape=(1024, 1024, 1), device="cpu", minutes=0.5)
    assert 120 <= max(plan.configuration().edges) < 1024


def test_less_memory_gives_a_smaller_patch(planned):
    small = planned(crowd(20), shape=(2048, 2048, 1), memory_gb=2.0)
    large = planned(crowd(20), shape=(2048, 2048, 1), memory_gb=16.0)
    assert math.prod(small.configuration().patch) < math.prod(large.configuration().patch)


def test_labels_that_do_not_number_objects_are_refused_with_the_way_to_say_so(planned):
    with pytest.raises(PlanError, match=r'the labels name structures.*"nucleus": "instances"'):
        planned(None)
    with pytest.raises(PlanError, match="no case has an object"):
        planned(ObjectSizes.sum([]))


def test_volumes_are_refused(planned):
    with pytest.raises(PlanError, match="these scans are volumes"):
        planned(crowd(20), shape=(64, 64, 40))


def test_a_preset_is_another_network(planned):
    with pytest.raises(PlanError, match="choose it or the network mask_rcnn"):
        planned(crowd(20), preset="L")


def test_the_command_line_knows_it():
    assert Network("mask_rcnn")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("training.loss", "dice_ce", "mask_rcnn is used alone, with the loss of that name"),
        ("training.accumulate", 2, "training.accumulate is 1 and"),
        ("training.targets", "raters", "training.targets 'reference'; got 1 and 'raters'"),
        ("network.detector.level", 0, "needs sizes for"),
        ("network.detector", None, "mask_rcnn needs detector"),
    ],
)
def test_what_contradicts_the_network_is_refused(planned, field, value, says):
    with pytest.raises(RecordError, match=says):
        planned(crowd(20)).set_by_hand(field, value)


def test_its_loss_belongs_to_no_other_network(fingerprint_of):
    plan = make_plan(fingerprint_of([(64, 64, 1)] * 9, (1.0, 1.0, 1.0)))
    with pytest.raises(RecordError, match="belongs to the network mask_rcnn"):
        plan.set_by_hand("training.loss", "mask_rcnn")


def test_it_takes_pictures_only(planned):
    spec = planned(crowd(20)).configuration().network
    solid = {
        "strides": tuple((*step, 1) for step in spec.strides),
        "kernels": tuple((*kernel, 1) for kernel in spec.kernels),
    }
    with pytest.raises(ValidationError, match="finds objects in pictures"):
        spec.but(**solid)
