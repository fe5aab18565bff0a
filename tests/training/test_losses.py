"""Losses, against the worked example, MONAI, and their own laws."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from delineate.planning.plan import Training
from delineate.space import Label, LabelSchema, Region
from delineate.training.losses import (
    Coding,
    Loss,
    Overlap,
    by_class,
    level_weights,
    make_loss,
    overlap,
    shrunk,
    soft_dice,
    soft_jaccard,
    supervised,
    tversky,
)

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


@pytest.mark.parametrize("name", [name for name in EXAMPLE["loss"] if "smooth" in name])
def test_the_worked_example_comes_out(name):
    kind, rule, smooth = name.replace(",", "").replace("smooth ", "").split()
    score = {"dice": soft_dice, "jaccard": soft_jaccard}[kind]
    sums = overlap(P, G, squared=rule == "squared")
    assert 1 - score(sums, float(smooth)).item() == pytest.approx(EXAMPLE["loss"][name], abs=5e-11)


def test_the_sums_of_the_worked_example_come_out():
    squared, linear = overlap(P, G, squared=True), overlap(P, G)
    assert squared.both.item() == pytest.approx(1.8)
    assert squared.predicted.item() == pytest.approx(2.33)
    assert (squared.target.item(), linear.predicted.item()) == pytest.approx((3, 3.1))


def test_the_gradient_of_the_worked_example_comes_out():
    p = P.clone().requires_grad_()
    (1 - soft_dice(overlap(p, G, squared=True), 0)).sum().backward()
    expected = torch.tensor(EXAMPLE["gradient of dice squared, smooth 0"], dtype=torch.float64)
    assert torch.allclose(p.grad.flatten(), expected, atol=1e-6, rtol=0)


def test_the_gradient_is_the_formula():
    p = P.clone().requires_grad_()
    (1 - soft_dice(overlap(p, G, squared=True), 0)).sum().backward()
    size, both = (P**2).sum() + (G**2).sum(), (P * G).sum()
    assert torch.allclose(p.grad, -(2 * G * size - 4 * P * both) / size**2, atol=1e-12)


def test_binary_cross_entropy_of_the_worked_example_comes_out():
    schema = LabelSchema(labels=THREE.labels, regions=(Region(name="r", values=(1,), paints=1),))
    logits = torch.logit(torch.where(G == 1, P.clamp(min=1e-7), P.clamp(min=1e-30)))  # clipped in the log
    parts = Loss(Coding.of(schema), region=None)(logits, G[:, 0])
    assert parts.total.item() == pytest.approx(
        EXAMPLE["loss"]["binary cross-entropy, clipped at 1e-7"], abs=1e-9
    )


def test_squared_dice_is_that_of_monai():
    from monai.losses import DiceLoss

    rng = torch.Generator().manual_seed(0)
    p = torch.rand((3, 2, 5, 6, 7), generator=rng)
    g = (torch.rand(p.shape, generator=rng) > 0.7).float()
    for batch in (False, True):
        for jaccard, score in ((False, soft_dice), (True, soft_jaccard)):
            peer = DiceLoss(squared_pred=True, smooth_nr=0, smooth_dr=0, batch=batch, jaccard=jaccard)(p, g)
            sums = overlap(p, g, squared=True)
            if batch:
                sums = Overlap(sums.both.sum(0), sums.predicted.sum(0), sums.target.sum(0))
            ours = 1 - score(sums, 0).mean()
            assert ours.item() == pytest.approx(peer.item(), abs=1e-6)


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


def test_the_table_says_which_outputs_an_index_belongs_to():
    assert Coding.of(THREE).table.tolist() == torch.eye(3, dtype=torch.bool).tolist()
    assert Coding.of(TUMOUR).table.tolist() == [[False, False], [True, False], [True, True]]


def test_an_empty_target_found_empty_costs_nothing_and_has_a_gradient():
    p = torch.zeros((1, 1, 3, 3), requires_grad=True)
    for score in (soft_dice, soft_jaccard, tversky):
        loss = (1 - score(overlap(p, torch.zeros_like(p)))).sum()
        loss.backward()
        assert loss.item() == 0
        assert torch.isfinite(p.grad).all()


LOSSES = [
    Loss(Coding.of(schema.but(ignore=9)), over, region, voxel)
    for schema in (THREE, TUMOUR)
    for over in ("sample", "batch")
    for region, voxel in (("dice", "ce"), ("tversky", "focal"), ("jaccard", None), (None, "ce"))
]


PARTLY = Loss(Coding.of(THREE.but(ignore=9)))


def _name(loss):
    return f"{'softmax' if loss.coding.exclusive else 'sigmoid'} {loss.over} {loss.region} {loss.voxel}"


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
    assert loss(right, labels).total.item() == pytest.approx(0 if loss.region is None else -1, abs=1e-4)
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


def test_tversky_minds_what_is_missed_more():
    missed = tversky(Overlap(torch.tensor(6.0), torch.tensor(6.0), torch.tensor(10.0)))
    extra = tversky(Overlap(torch.tensor(6.0), torch.tensor(10.0), torch.tensor(6.0)))
    assert missed.item() == pytest.approx(6 / (6 + 0.7 * 4))
    assert extra.item() == pytest.approx(6 / (6 + 0.3 * 4))


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


@pytest.mark.parametrize(
    ("name", "region", "voxel"),
    [
        ("dice_ce", "dice", "ce"),
        ("dice_focal", "dice", "focal"),
        ("jaccard_ce", "jaccard", "ce"),
        ("tversky_ce", "tversky", "ce"),
        ("dice", "dice", None),
        ("ce", None, "ce"),
    ],
)
def test_every_loss_that_a_plan_can_name_is_made(name, region, voxel):
    training = Training(
        optimizer="sgd", learning_rate=0.1, weight_decay=0, schedule="poly", steps=1, loss=name
    )
    one, other = (make_loss(training, THREE, batch_dice=True), make_loss(training, TUMOUR, batch_dice=False))
    assert (one.over, one.region, one.voxel) == ("batch", region, voxel)
    assert (other.over, other.region, other.voxel) == ("sample", region, voxel)
    assert one.coding.exclusive
    assert not other.coding.exclusive


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


def test_sums_by_class_do_not_lose_small_values_beside_large_sums():
    values, index = torch.full((1, 20_000, 250), 0.9), torch.zeros((1, 20_000, 250), dtype=torch.long)
    assert by_class(values, index, 2)[0].tolist() == pytest.approx([4_500_000, 0], rel=3e-6)


@given(st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_sums_by_class_are_those_of_numpy(seed):
    rng = np.random.default_rng(seed)
    values, index = rng.normal(size=(2, 3, 4, 5)), rng.integers(0, 4, (2, 3, 4, 5))
    expected = [[v[i == c].sum() for c in range(4)] for v, i in zip(values, index, strict=True)]
    found = by_class(torch.from_numpy(values), torch.from_numpy(index), 4)
    assert np.allclose(found.numpy(), expected)
