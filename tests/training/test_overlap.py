"""Overlaps, against the worked example, MONAI, and their own laws."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.training.overlap import (
    SCORES,
    Overlap,
    by_class,
    dice_and_lines,
    generalised_dice,
    overlap,
    semimetric_dice,
    soft_dice,
    soft_jaccard,
    tversky,
)
from delineate.training.skeleton import Lines

EXAMPLE = json.loads((Path(__file__).parent / "worked_example.json").read_text())
P = torch.tensor(EXAMPLE["probabilities"], dtype=torch.float64).reshape(1, 1, 3, 3)
G = torch.tensor(EXAMPLE["target"], dtype=torch.float64).reshape(1, 1, 3, 3)


def _masks(seed=0, shape=(2, 3, 5, 6)):
    generator = torch.Generator().manual_seed(seed)
    p = torch.rand(shape, generator=generator, dtype=torch.float64)
    return p, torch.rand(shape, generator=generator) > 0.6


def _sums(p, g):
    return replace(overlap(p, g), lines=Lines.of(p, g.to(p.dtype)))


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


def test_an_empty_target_found_empty_costs_nothing_and_has_a_gradient():
    p = torch.zeros((1, 1, 3, 3), requires_grad=True)
    for score in (soft_dice, soft_jaccard, tversky):
        loss = (1 - score(overlap(p, torch.zeros_like(p)))).sum()
        loss.backward()
        assert loss.item() == 0
        assert torch.isfinite(p.grad).all()


def test_tversky_minds_what_is_missed_more():
    missed = tversky(Overlap(torch.tensor(6.0), torch.tensor(6.0), torch.tensor(10.0)))
    extra = tversky(Overlap(torch.tensor(6.0), torch.tensor(10.0), torch.tensor(6.0)))
    assert missed.item() == pytest.approx(6 / (6 + 0.7 * 4))
    assert extra.item() == pytest.approx(6 / (6 + 0.3 * 4))


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


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_every_score_is_one_for_what_is_right_or_neither_there_nor_found(score):
    _, g = _masks()
    assert torch.allclose(score(_sums(g.double(), g)), torch.ones(1, dtype=torch.float64), atol=1e-5)
    nothing = torch.zeros((1, 2, 4, 4), dtype=torch.float64, requires_grad=True)
    found = score(_sums(nothing, torch.zeros_like(nothing, dtype=torch.bool)))
    assert torch.equal(found, torch.ones_like(found))
    found.sum().backward()
    assert torch.isfinite(nothing.grad).all()


@pytest.mark.parametrize("score", SCORES.values(), ids=SCORES)
def test_what_is_found_where_nothing_is_scores_nothing_and_is_pulled_down(score):
    p = _masks(shape=(1, 2, 6, 6))[0].requires_grad_()
    found = score(_sums(p, torch.zeros_like(p, dtype=torch.bool)))
    assert (found < 1e-4).all()
    found.sum().backward()
    assert torch.isfinite(p.grad).all()
    assert p.grad.sum() < 0


@pytest.mark.parametrize("name", SCORES)
def test_the_gradients_of_the_scores_are_those_of_small_differences(name):
    p, g = _masks()

    def value(p):
        squared = name == "dice_squared"
        return SCORES[name](overlap(p, g, squared=True) if squared else _sums(p, g))

    assert torch.autograd.gradcheck(value, p.requires_grad_())


def test_generalised_dice_is_that_of_monai():
    from monai.losses import GeneralizedDiceLoss

    for seed in range(3):
        p, g = _masks(seed)
        g[0, 1] = False  # an absent class weighs as the smallest that is there
        for batch in (False, True):
            peer = GeneralizedDiceLoss(smooth_nr=0, smooth_dr=0, batch=batch)(p, g.double())
            sums = overlap(p, g)
            sums = sums.mapped(lambda part: part.sum(0)) if batch else sums
            assert 1 - generalised_dice(sums, 0).mean().item() == pytest.approx(peer.item(), abs=1e-6)


def test_generalised_dice_is_not_drowned_by_its_smoothing_in_large_structures():
    half = Overlap(torch.tensor([[2e6, 5.0]]), torch.tensor([[4e6, 10.0]]), torch.tensor([[4e6, 10.0]]))
    assert generalised_dice(half).item() == pytest.approx(0.5, abs=1e-4)
    alone = half.mapped(lambda part: part[:, :1])
    assert generalised_dice(alone).item() == pytest.approx(0.5, abs=1e-4)


def test_tversky_is_that_of_monai():
    from monai.losses import TverskyLoss

    p, g = _masks()
    peer = TverskyLoss(alpha=0.3, beta=0.7, smooth_nr=1e-5, smooth_dr=1e-5)(p, g.double())
    assert 1 - tversky(overlap(p, g)).mean().item() == pytest.approx(peer.item(), abs=1e-6)


def test_semimetric_dice_is_dice_where_targets_are_hard():
    p, g = _masks()
    assert torch.allclose(semimetric_dice(overlap(p, g)), soft_dice(overlap(p, g)), atol=1e-12)
    assert torch.allclose(semimetric_dice(overlap(p, g.double())), soft_dice(overlap(p, g)), atol=1e-12)


@given(st.floats(0.05, 0.95), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_of_averaged_raters_semimetric_dice_is_best_at_their_own_share(share, other):
    g = torch.full((1, 1, 4), share, dtype=torch.float64)
    at_share, elsewhere = (semimetric_dice(overlap(torch.full_like(g, p), g)).item() for p in (share, other))
    assert at_share == pytest.approx(1)
    assert elsewhere <= at_share


def test_of_averaged_raters_ordinary_dice_would_rather_be_sure():
    g = torch.full((1, 1, 4), 0.6, dtype=torch.float64)
    share, sure = (soft_dice(overlap(torch.full_like(g, p), g)).item() for p in (0.6, 1.0))
    assert sure > share


def test_a_score_of_lines_without_lines_is_refused():
    with pytest.raises(ValueError, match="clDice needs the sums of middle lines"):
        dice_and_lines(overlap(*_masks()))
