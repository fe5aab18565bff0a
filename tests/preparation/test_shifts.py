"""Shifts of the preset heavy are what they say, repeat, and happen as often as the plan says."""

import numpy as np
import pytest
import torch

from delineate.planning.generalize import SHIFTS
from delineate.planning.plan import Augmentation
from delineate.preparation.appearance import draw_changes
from delineate.preparation.shifts import Bump, Gradient, LocalGamma, Offset, Sharpen, draw_shifts

ALWAYS = SHIFTS.but(
    offset_probability=1, gradient_probability=1, local_gamma_probability=1, sharpen_probability=1
)


def image(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(0.3, 1.2, shape).astype(np.float32))


def test_an_offset_adds_its_number_to_each_channel():
    source = image(2, 5, 6)
    found = Offset((0.5, 0.0)).apply(source)
    assert torch.allclose(found[0], source[0] + 0.5)
    assert torch.equal(found[1], source[1])


def test_a_bump_is_one_at_its_top_also_where_its_centre_lies_outside():
    inside, outside = (
        Bump((place, 0.5), (0.2, 0.3)).over((21, 11), torch.device("cpu")) for place in (0.5, -0.4)
    )
    assert inside.max() == pytest.approx(1)
    assert inside[10, 5] == pytest.approx(1)
    assert outside[0, 5] == pytest.approx(1)
    assert (outside.diff(dim=0) < 0).all()


def test_a_gradient_adds_a_bump_of_its_height():
    source = image(2, 9, 9, 9)
    found = Gradient(((Bump((0.5,) * 3, (0.3,) * 3), -2.0), None)).apply(source)
    assert (found[0] - source[0])[4, 4, 4] == pytest.approx(-2)
    assert torch.equal(found[1], source[1])
    assert torch.equal(source, image(2, 9, 9, 9))


def test_local_gamma_bends_values_at_the_bump_and_keeps_the_range():
    source = torch.linspace(0, 1, 21).repeat(21, 1)[None]
    found = LocalGamma(((Bump((0.5, 0.5), (0.05, 9.0)), 3.0),)).apply(source)
    assert torch.allclose(found[0, 10], source[0, 10] ** 3, atol=0.01)
    assert torch.allclose(found[0, 0], source[0, 0], atol=1e-4)
    assert (found.min(), found.max()) == (0, 1)
    flat = torch.full((1, 4, 4), 7.0)
    assert torch.allclose(LocalGamma(((Bump((0.5, 0.5), (0.1, 0.1)), 0.2),)).apply(flat), flat)


@pytest.mark.parametrize("dims", [2, 3])
def test_sharpening_makes_edges_steeper_and_keeps_the_range(dims):
    source = torch.zeros(1, *(8,) * dims)
    source[:, 4:] = 1
    source[:, 3] = 0.3
    found = Sharpen((1.0,)).apply(source)
    assert found[0, 3].max() < 0.3
    assert (found.min(), found.max()) == (0, 1)
    assert torch.equal(Sharpen((None,)).apply(source), source)


@pytest.mark.parametrize("dims", [2, 3])
def test_the_same_generator_draws_the_same_and_everything_applies(dims):
    source = image(2, *(10,) * dims)
    for seed in range(20):
        one, two = (draw_shifts(np.random.default_rng(seed), ALWAYS, 2, dims) for _ in range(2))
        assert one == two
        assert len(one) == 4
        for change in one:
            found = change.apply(source)
            assert found.shape == source.shape
            assert torch.isfinite(found).all()


def test_draws_keep_to_the_numbers_of_the_plan():
    rng = np.random.default_rng(2)
    bumps = [b for _ in range(300) for b in draw_shifts(rng, ALWAYS, 2, 3)[1].bumps]
    drawn = [bump for bump in bumps if bump is not None]
    assert len(drawn) == pytest.approx(300, rel=0.15)  # half of 600 channels
    heights = np.array([height for _, height in drawn])
    assert 1 <= np.abs(heights).min() <= np.abs(heights).max() <= 5
    assert np.mean(heights > 0) == pytest.approx(0.5, abs=0.1)
    assert all(1 / 6 <= w <= 1 for bump, _ in drawn for w in bump.width)
    assert all(-0.5 <= c <= 1.5 for bump, _ in drawn for c in bump.centre)


def test_without_the_preset_nothing_is_drawn_and_no_draw_changes():
    plain, heavy = Augmentation(), Augmentation(shifts=SHIFTS)
    rngs = np.random.default_rng(5), np.random.default_rng(5)
    ours, theirs = (draw_changes(rng, a, 1, 3) for rng, a in zip(rngs, (plain, heavy), strict=True))
    assert theirs[: len(ours)] == ours
