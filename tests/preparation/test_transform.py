"""Draws are spread as they should be, and random fields can be grown again."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from delineate.preparation.transform import (
    Mirror,
    about_one,
    draw_mirror,
    draw_seed,
    happens,
    mean_over_space,
    random_field,
    uniform,
)


@given(st.lists(st.booleans(), min_size=2, max_size=3), st.integers(0, 1000))
def test_mirroring_twice_gives_the_patch_back(flips, seed):
    values = torch.from_numpy(np.random.default_rng(seed).random((2, 4, 5, 6)[: len(flips) + 1]))
    mirror = Mirror(tuple(flips))
    assert torch.equal(mirror.apply(mirror.apply(values)), values)


def test_mirroring_an_axis_is_numpys_flip_of_it():
    values = torch.arange(24).reshape(1, 2, 3, 4)
    mirrored = Mirror((False, True, False)).apply(values)
    assert (mirrored.numpy() == np.flip(values.numpy(), 2)).all()


def test_only_allowed_axes_are_mirrored_each_half_of_the_time():
    rng = np.random.default_rng(0)
    flips = np.array([draw_mirror(rng, 3, (0, 2), 0.5).flips for _ in range(4000)])
    assert not flips[:, 1].any()
    assert flips.mean(0)[[0, 2]] == pytest.approx(0.5, abs=0.03)
    assert (flips[:, 0] & flips[:, 2]).mean() == pytest.approx(0.25, abs=0.03)  # independent


def test_something_of_a_probability_happens_that_often():
    rng = np.random.default_rng(1)
    assert np.mean([happens(rng, 0.2) for _ in range(5000)]) == pytest.approx(0.2, abs=0.02)
    assert not any(happens(rng, 0) for _ in range(100))
    assert all(happens(rng, 1) for _ in range(100))


def test_a_uniform_number_is_as_likely_anywhere_in_its_interval():
    rng = np.random.default_rng(2)
    numbers = np.array([uniform(rng, (0.5, 1.5)) for _ in range(5000)])
    assert np.histogram(numbers, 4, (0.5, 1.5))[0] / 5000 == pytest.approx(0.25, abs=0.03)


def test_a_factor_about_one_weakens_as_often_as_it_strengthens():
    rng = np.random.default_rng(3)
    factors = np.array([about_one(rng, (0.7, 1.5)) for _ in range(5000)])
    assert factors.min() >= 0.7 and factors.max() <= 1.5
    assert (factors < 1).mean() == pytest.approx(0.5, abs=0.03)
    assert factors[factors > 1].mean() == pytest.approx(1.25, abs=0.02)


def test_a_factor_on_one_side_of_one_comes_from_the_whole_interval():
    rng = np.random.default_rng(4)
    factors = np.array([about_one(rng, (0.2, 0.6)) for _ in range(2000)])
    assert factors.mean() == pytest.approx(0.4, abs=0.02)


def test_a_field_is_the_same_for_the_same_seed_only():
    seeds = [draw_seed(np.random.default_rng(n)) for n in (1, 1, 2)]
    one, again, other = (random_field((2, 9), seed, torch.device("cpu")) for seed in seeds)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_a_field_is_standard_normal():
    field = random_field((40_000,), 7, torch.device("cpu"))
    assert field.mean().item() == pytest.approx(0, abs=0.02)
    assert field.std().item() == pytest.approx(1, abs=0.02)


def test_the_mean_over_space_is_that_of_each_channel():
    image = torch.from_numpy(np.random.default_rng(5).random((3, 4, 5, 6)))
    assert mean_over_space(image).shape == (3, 1, 1, 1)
    assert torch.allclose(mean_over_space(image).flatten(), image.mean((1, 2, 3)))


def test_the_mean_over_space_does_not_depend_on_the_threads():
    image = random_field((1, 64, 64, 64), 8, torch.device("cpu"))
    before = torch.get_num_threads()
    try:
        means = [(torch.set_num_threads(n), mean_over_space(image).item())[1] for n in (1, 2)]
    finally:
        torch.set_num_threads(before)
    assert means[0] == means[1]
