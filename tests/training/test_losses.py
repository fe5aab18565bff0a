"""Losses, against the worked example, MONAI, and their own laws."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from delineate.planning.plan import WEIGHTED, LossName, Training
from delineate.space import Label, LabelSchema, Region
from delineate.training.coding import Coding
from delineate.training.losses import TERMS, Loss, level_weights, make_loss, shrunk, supervised
from delineate.training.overlap import overlap, soft_dice

EXAMPLE = json.loads((Path(__file__).parent / "worked_example.json").read_text())
P = torch.tensor(EXAMPLE["probabilities"], dtype=torch.float64).reshape(1, 1, 3, 3)
G = torch.tensor(EXAMPLE["target"], dtype=torch.float64).reshape(1, 1, 3, 3)
THREE = LabelSchema.of("a", "b")
TUMOUR = LabelSchema(
    labels=(Label(value=1, name="oedema"), Label(value=2, name="core")),
    regions=(
        Region(name="whole", values=(1, 2), paints=1),
        Region(name="core", values=(2,), paints=2),
    ),
)


def test_binary_cross_entropy_of_the_worked_example_comes_out():
    schema = LabelSchema(labels=THREE.labels, regions=(Region(name="r", values=(1,), paints=1),))
    logits = torch.logit(torch.where(G == 1, P.clamp(min=1e-7), P.clamp(min=1e-30)))  # clipped in the log
    parts = Loss(Coding.of(schema), region=None)(logits, G[:, 0].long())
    assert parts.total.item() == pytest.approx(
        EXAMPLE["loss"]["binary cross-entropy, clipped at 1e-7"], abs=1e-9
    )


def test_dice_and_cross_entropy_are_those_of_monai():
    from monai.losses import DiceCELoss

    rng = torch.Generator().manual_seed(1)
    logits = torch.randn((2, 3, 4, 5, 6), generator=rng)
    labels = torch.randint(0, 3, (2, 4, 5, 6), generator=rng)
    for batch in (False, True):
        peer = DiceCELoss(
            include_background=False,
            to_onehot_y=True,
            softmax=True,
            batch=batch,
            smooth_nr=1e-5,
            smooth_dr=1e-5,
        )(logits, labels[:, None])
        ours = Loss(Coding.of(THREE), over="batch" if batch else "sample")(logits, labels)
        assert ours.total.item() + 1 == pytest.approx(peer.item(), abs=1e-6)


def test_the_default_is_cross_entropy_minus_dice_without_background():
    logits = torch.randn((2, 3, 4, 4), generator=torch.Generator().manual_seed(2))
    labels = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(3))
    p, g = logits.softmax(1), functional.one_hot(labels, 3).movedim(-1, 1)
    both, size = (p * g).sum((2, 3)), (p + g).sum((2, 3))
    dice = ((2 * both + 1e-5) / (size + 1e-5))[:, 1:].mean()
    training = Training(optimizer="sgd", learning_rate=0.1, weight_decay=0, schedule="poly", steps=1)
    parts = make_loss(training, THREE, batch_dice=False)(logits, labels)
    assert parts.total.item() == pytest.approx(
        (functional.cross_entropy(logits, labels) - dice).item(), abs=1e-6
    )


def test_regions_are_learnt_by_binary_cross_entropy_and_all_of_them_by_dice():
    logits = torch.randn((2, 2, 4, 4), generator=torch.Generator().manual_seed(2))
    labels = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(3))
    g = torch.stack([labels > 0, labels == 2], 1).float()
    p = logits.sigmoid()
    dice = ((2 * (p * g).sum((2, 3)) + 1e-5) / ((p + g).sum((2, 3)) + 1e-5)).mean()
    parts = Loss(Coding.of(TUMOUR))(logits, labels)
    expected = functional.binary_cross_entropy_with_logits(logits, g) - dice
    assert parts.total.item() == pytest.approx(expected.item(), abs=1e-6)


WEIGHTS = {THREE: torch.tensor([0.5, 2.0, 7.0]), TUMOUR: torch.tensor([3.0, 9.0])}
LOSSES = [
    Loss(Coding.of(schema.but(ignore=9)), over, *terms, class_weights=WEIGHTS[schema])
    for schema in (THREE, TUMOUR)
    for over in ("sample", "batch")
    for terms in sorted(set(TERMS.values()), key=str)
]


PARTLY = Loss(Coding.of(THREE.but(ignore=9)))


def _name(loss):
    coding = "softmax" if loss.coding.exclusive else "sigmoid"
    return f"{coding} {loss.over} {loss.region} {loss.voxel} {loss.distance}"


def _case(loss):
    """Logits and labels of two small images."""
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn((2, loss.coding.table.shape[1], 4, 4), generator=generator)
    return logits, torch.randint(0, 3, (2, 4, 4), generator=generator)


@pytest.mark.parametrize("loss", LOSSES, ids=_name)
def test_what_nobody_annotated_changes_nothing(loss):
    logits, labels = _case(loss)
    labels[:, 2:] = -1
    other = logits.clone()
    other[:, :, 2:] = 7.0
    logits.requires_grad_()
    result = loss(logits, labels).total
    result.backward()
    assert result.item() == pytest.approx(loss(other, labels).total.item(), abs=1e-6)
    assert not logits.grad[:, :, 2:].any()
    assert logits.grad[:, :, :2].any()


@pytest.mark.parametrize("loss", LOSSES, ids=_name)
def test_no_annotated_voxel_at_all_costs_zero(loss):
    logits, labels = _case(loss)
    logits.requires_grad_()
    result = loss(logits, torch.full_like(labels, -1)).total
    result.backward()
    assert result.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("loss", LOSSES, ids=_name)
def test_the_right_answer_costs_least(loss):
    _, labels = _case(loss)
    right = 40 * loss.coding.values(labels).float() - 20
    assert loss(right, labels).total.item() == pytest.approx(0 if loss.region is None else -1, abs=0.02)
    assert loss(-right, labels).total > loss(right, labels).total


def test_a_sample_that_nobody_annotated_does_not_dilute_the_others():
    logits, labels = _case(PARTLY)
    alone = PARTLY(logits[:1], labels[:1]).total
    labels[1] = -1
    both = PARTLY(logits, labels).total
    assert both.item() == pytest.approx(alone.item(), abs=1e-6)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_sums_over_many_voxels_are_taken_in_single_precision(kind):
    p = torch.full((1, 1, 300_000), 0.001, dtype=kind)
    g = torch.ones((1, 1, 300_000), dtype=torch.bool)
    sums = overlap(p, g)
    assert sums.both.dtype == torch.float32
    assert sums.both.item() == pytest.approx(300_000 * p[0, 0, 0].item(), rel=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        logits, labels = _case(PARTLY)
        parts = PARTLY(logits.to(kind), labels)
    assert parts.total.dtype == torch.float32


def test_the_focal_form_forgets_what_is_known():
    logits = torch.tensor([[[2.0], [0.0]]])
    labels = torch.zeros((1, 1), dtype=torch.long)
    surprise = functional.cross_entropy(logits, labels).item()
    focal = Loss(Coding.of(LabelSchema.of("a")), region=None, voxel="focal")(logits, labels)
    assert focal.total.item() == pytest.approx((1 - np.exp(-surprise)) ** 2 * surprise, rel=1e-5)


@pytest.mark.parametrize(
    ("levels", "weights"),
    [
        (1, (1,)),
        (2, (1, 0)),
        (4, (4 / 7, 2 / 7, 1 / 7, 0)),
        (5, (8 / 15, 4 / 15, 2 / 15, 1 / 15, 0)),
        (3, (2 / 3, 1 / 3, 0)),
    ],
)
def test_weights_of_the_levels_halve_and_the_last_is_zero(levels, weights):
    assert level_weights(levels) == pytest.approx(weights)


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([(1, 2), (2, 2), (2, 4)]))
@settings(max_examples=20, deadline=None)
def test_shrinking_keeps_the_voxel_at_each_centre(rows, columns, strides):
    labels = torch.randint(-1, 4, (2, rows * strides[0], columns * strides[1]))
    small = shrunk(labels, (rows, columns))
    assert torch.equal(small, labels[:, strides[0] // 2 :: strides[0], strides[1] // 2 :: strides[1]])


def test_deep_supervision_is_the_weighted_sum_over_the_levels():
    logits, labels = _case(PARTLY)
    levels = [logits, logits[:, :, ::2, ::2], logits[:, :, ::4, ::4] * torch.inf]
    fine, middle = (PARTLY(level, shrunk(labels, tuple(level.shape[2:]))) for level in levels[:2])
    result = supervised(PARTLY, levels, labels)
    assert result.total.item() == pytest.approx((2 / 3 * fine.total + 1 / 3 * middle.total).item(), abs=1e-6)
    assert result.total.item() == pytest.approx((result.voxel - result.region).item(), abs=1e-6)


def _training(name, **changes):
    return Training(
        optimizer="sgd", learning_rate=0.1, weight_decay=0, schedule="poly", steps=1, loss=name, **changes
    )


def test_a_plan_can_name_every_loss_that_can_be_made_and_no_other():
    assert tuple(TERMS) == get_args(LossName)
    assert {name for name, terms in TERMS.items() if terms.voxel == "weighted_ce"} == set(WEIGHTED)


@pytest.mark.parametrize(("name", "terms"), TERMS.items())
def test_every_loss_that_a_plan_can_name_is_made(name, terms):
    one = make_loss(_training(name, class_weights=(1.0, 2.0, 3.0)), THREE, batch_dice=True)
    other = make_loss(_training(name, class_weights=(2.0, 3.0)), TUMOUR, batch_dice=False)
    assert (one.over, one.region, one.voxel, one.distance) == ("batch", *terms)
    assert (other.over, other.region, other.voxel, other.distance) == ("sample", *terms)
    assert (one.class_weights is not None) == (name in WEIGHTED)
    assert one.coding.exclusive
    assert not other.coding.exclusive


@pytest.mark.parametrize("loss", LOSSES, ids=_name)
def test_the_gradients_of_the_losses_are_those_of_small_differences(loss):
    logits, labels = _case(loss)
    labels[0, 0] = -1
    assert torch.autograd.gradcheck(lambda x: loss(x, labels).total, logits.double().requires_grad_())


@pytest.mark.parametrize("loss", LOSSES, ids=_name)
def test_soft_labels_of_one_rater_are_hard_labels(loss):
    logits, labels = _case(loss)
    labels[0, 0] = -1
    shares = torch.where(labels[:, None] < 0, -1.0, loss.coding.values(labels).double())
    hard, soft = (loss(logits.double(), these) for these in (labels, shares))
    assert soft.total.item() == pytest.approx(hard.total.item(), abs=1e-9)
    assert torch.autograd.gradcheck(lambda x: loss(x, shares).total, logits.double().requires_grad_())


@pytest.mark.parametrize("schema", [THREE, TUMOUR], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("name", ["semimetric_ce", "weighted_ce", "focal"])
def test_averaged_raters_cost_least_at_their_own_shares(schema, name):
    weights = tuple(WEIGHTS[schema].tolist())
    loss = make_loss(_training(name, class_weights=weights), schema, batch_dice=False)
    logits = torch.randn((1, len(weights), 3, 3), dtype=torch.float64).requires_grad_()
    shares = (logits.softmax(1) if schema.exclusive else logits.sigmoid()).detach()
    (gradient,) = torch.autograd.grad(loss(logits, shares).voxel, logits)
    assert gradient.abs().max() < 1e-9
    if loss.region:
        assert loss(logits, shares).region.item() == pytest.approx(1)
        assert loss(logits + torch.randn(logits.shape), shares).region < 1


@pytest.mark.parametrize("loss", LOSSES, ids=_name)
def test_processes_that_share_a_batch_find_the_loss_of_the_whole(loss):
    """Each adds what the other holds: `total` is given the sums of both, in the order they are asked for."""
    logits, labels = _case(loss)
    logits, halves = logits.double(), []
    for n in (0, 1):
        asked = []
        loss(logits[n : n + 1], labels[n : n + 1], lambda part, asked=asked: asked.append(part) or part)
        halves.append(asked)
    sums = iter([one + other for one, other in zip(*halves, strict=True)])
    shared = loss(logits[:1], labels[:1], lambda part: next(sums))
    assert shared.total.item() == pytest.approx(loss(logits, labels).total.item(), abs=1e-9)


def test_weighted_cross_entropy_is_that_of_torch():
    logits, labels = _case(PARTLY)
    weights = (0.5, 2.0, 7.0)
    ours = make_loss(_training("weighted_ce", class_weights=weights), THREE, batch_dice=False)
    peer = functional.cross_entropy(logits, labels, torch.tensor(weights))
    assert ours(logits, labels).total.item() == pytest.approx(peer.item(), abs=1e-6)


def test_weighted_cross_entropy_of_regions_weighs_the_inside():
    loss = make_loss(_training("weighted_ce", class_weights=(3.0, 9.0)), TUMOUR, batch_dice=False)
    logits, labels = _case(loss)
    g = loss.coding.values(labels).float()
    weight = 1 + (torch.tensor([3.0, 9.0])[:, None, None] - 1) * g
    peer = functional.binary_cross_entropy_with_logits(logits, g, weight, reduction="sum") / weight.sum()
    assert loss(logits, labels).total.item() == pytest.approx(peer.item(), abs=1e-6)


def test_the_focal_loss_is_that_of_monai():
    from monai.losses import FocalLoss

    for schema in (THREE, TUMOUR):
        loss = make_loss(_training("focal"), schema, batch_dice=False)
        logits, labels = _case(loss)
        g = loss.coding.values(labels).float()
        peer = FocalLoss(use_softmax=schema.exclusive)(logits, g).item()
        peer *= g.shape[1] if schema.exclusive else 1  # it divides by classes whose surprise is 0
        assert loss(logits, labels).total.item() == pytest.approx(peer, abs=1e-6)


def test_hausdorff_with_dice_and_cross_entropy_is_the_sum_of_those_of_monai():
    from monai.losses import DiceCELoss, HausdorffDTLoss

    loss = make_loss(_training("dice_ce_hausdorff"), THREE, batch_dice=False)
    logits, labels = _case(loss)
    how = {"include_background": False, "to_onehot_y": True, "softmax": True}
    both = DiceCELoss(**how, smooth_nr=1e-5, smooth_dr=1e-5)(logits, labels[:, None])
    far = HausdorffDTLoss(**how)(logits, labels[:, None])
    assert loss(logits, labels).total.item() + 1 == pytest.approx((both + 0.001 * far).item(), abs=1e-6)


def test_distances_are_measured_in_voxels_of_the_finest_spacing_at_every_level():
    loss = make_loss(_training("dice_ce_boundary"), THREE, batch_dice=False, spacing=(3.0, 0.5))
    assert loss.sides == (6.0, 1.0)
    assert loss.on_coarser((1, 2)).sides == (6.0, 2.0)
    logits, labels = _case(loss)
    coarse = logits[:, :, :, ::2]
    result = supervised(loss, [logits, coarse, coarse], labels)
    fine, half = loss(logits, labels), loss.on_coarser((1, 2))(coarse, shrunk(labels, (4, 2)))
    assert result.total.item() == pytest.approx((2 / 3 * fine.total + 1 / 3 * half.total).item(), abs=1e-6)


def test_soft_labels_shrink_as_hard_ones_do():
    labels = torch.randint(0, 3, (2, 6, 8))
    shares = Coding.of(THREE).values(labels).float()
    small = shrunk(shares, (3, 4))
    assert torch.equal(small.argmax(1), shrunk(labels, (3, 4)))
    assert shrunk(shares, (6, 8)) is shares


def test_what_is_said_without_an_ignore_label_is_the_same_as_with_one_that_is_not_used():
    logits, labels = _case(PARTLY)
    assert Loss(Coding.of(THREE))(logits, labels).total.item() == PARTLY(logits, labels).total.item()


def test_a_hundred_classes_have_the_dice_of_their_masks():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((2, 101, 6, 7, 8), generator=generator)
    labels = torch.randint(0, 101, (2, 6, 7, 8), generator=generator)
    coding = Coding.of(LabelSchema.of(*(f"label {n}" for n in range(100))))
    sums = overlap(logits.softmax(1)[:, 1:], coding.values(labels)[:, 1:])
    assert Loss(coding)(logits, labels).region.item() == pytest.approx(
        soft_dice(sums).mean().item(), abs=1e-6
    )
