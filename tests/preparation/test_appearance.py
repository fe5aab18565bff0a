"""Changes of intensity are what they say, and happen as often as the plan says."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from delineate.planning.plan import Augmentation
from delineate.preparation.appearance import (
    Blur,
    Brightness,
    Contrast,
    Gamma,
    LowResolution,
    Noise,
    draw_changes,
)

OFTEN = Augmentation(
    noise_probability=1,
    blur_probability=1,
    brightness_probability=1,
    contrast_probability=1,
    low_resolution_probability=1,
    gamma_inverted_probability=1,
    gamma_probability=1,
)


def image(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(0.3, 1.2, shape).astype(np.float32))


def drawn(kind, count, *, augmentation=OFTEN, channels=2, dims=3):
    rng = np.random.default_rng(11)
    changes = [draw_changes(rng, augmentation, channels, dims) for _ in range(count)]
    return [change for sample in changes for change in sample if isinstance(change, kind)]


def moments(values):
    return [(channel.mean().item(), channel.std().item()) for channel in values]


# -- one by one


def test_noise_has_the_drawn_standard_deviation_and_differs_between_channels():
    still = torch.zeros(2, 30, 30, 30)
    noisy = Noise(0.08, seed=3).apply(still)
    assert [sd for _, sd in moments(noisy)] == pytest.approx([0.08, 0.08], rel=0.02)
    assert not torch.equal(noisy[0], noisy[1])
    assert torch.equal(noisy, Noise(0.08, seed=3).apply(still))


@pytest.mark.parametrize("shape", [(9, 12, 7), (15, 10)])
def test_blur_is_scipys(shape):
    source, sigmas = image(2, *shape), (0.6, 1.0, 0.83)[: len(shape)]
    blurred = Blur((None, sigmas)).apply(source)
    assert torch.equal(blurred[0], source[0])
    expected = ndimage.gaussian_filter(source[1].numpy(), sigmas, mode="nearest")
    assert blurred[1].numpy() == pytest.approx(expected, abs=1e-5)


def test_a_blur_of_no_width_changes_nothing():
    source = image(1, 6, 6)
    assert torch.equal(Blur(((0.0, 0.1),)).apply(source), source)


def test_blur_works_on_patches_thinner_than_its_kernel():
    source = image(1, 2, 9, 9)
    expected = ndimage.gaussian_filter(source[0].numpy(), 1.0, mode="nearest")
    assert Blur(((1.0, 1.0, 1.0),)).apply(source)[0].numpy() == pytest.approx(expected, abs=1e-5)


def test_brightness_is_a_factor_per_channel():
    source = image(2, 4, 4)
    assert torch.equal(Brightness((0.5, 2.0)).apply(source)[0], source[0] * 0.5)
    assert torch.equal(Brightness((0.5, 2.0)).apply(source)[1], source[1] * 2)


def test_contrast_spreads_about_the_mean_and_stays_in_range():
    source = image(1, 8, 8, 8)
    wide = Contrast((1.25,)).apply(source)
    expected = (source - source.mean()) * 1.25 + source.mean()
    assert torch.allclose(wide, expected.clamp(source.min(), source.max()), atol=1e-6)
    assert wide.max() == source.max()
    narrow = Contrast((0.75,)).apply(source)
    assert narrow.std().item() == pytest.approx(0.75 * source.std().item(), rel=1e-5)
    assert narrow.mean().item() == pytest.approx(source.mean().item(), abs=1e-6)


def test_low_resolution_keeps_every_other_voxel_and_a_line_between_them():
    line = torch.arange(8.0).repeat(4, 1)[None]  # (1, 4, 8), rises along j
    coarse = LowResolution((0.5,), flat_axis=0).apply(line)
    kept = np.array([1, 3, 5, 7])  # the voxel nearest to the middle of a pair, upwards
    expected = np.interp(np.arange(8), [0.5, 2.5, 4.5, 6.5], kept)
    assert coarse[0, 0].numpy() == pytest.approx(expected, abs=1e-6)


def test_low_resolution_leaves_the_flat_axis_and_other_channels_alone():
    source = image(2, 6, 1, 1).expand(2, 6, 8, 8).contiguous()  # changes along the flat axis only
    coarse = LowResolution((0.5, None), flat_axis=0).apply(source)
    assert torch.allclose(coarse[0], source[0], atol=1e-6)
    assert torch.equal(coarse[1], source[1])
    assert not torch.allclose(LowResolution((0.5, None)).apply(source)[0], source[0], atol=1e-2)


def test_full_resolution_changes_nothing():
    source = image(1, 6, 7, 8)
    assert torch.allclose(LowResolution((1.0,)).apply(source), source, atol=1e-6)


@settings(deadline=None)
@given(st.floats(0.7, 1.5), st.floats(0.7, 1.5), st.booleans())
def test_gamma_keeps_moments_and_order(first, second, inverted):
    source = image(2, 6, 7, 8)
    bent = Gamma((first, second), inverted).apply(source)
    for (mean, sd), (wanted_mean, wanted_sd) in zip(moments(bent), moments(source), strict=True):
        assert mean == pytest.approx(wanted_mean, abs=1e-4)
        assert sd == pytest.approx(wanted_sd, rel=1e-4)
    order = source[0].flatten().argsort()
    assert (bent[0].flatten()[order].diff() >= -1e-5).all()


def test_gamma_bends_the_range_with_its_power():
    source = torch.linspace(0, 2, 65).reshape(1, 13, 5)
    bent = Gamma((1.5,)).apply(source)
    power = (source / 2) ** 1.5
    expected = (power - power.mean()) / power.std() * source.std() + source.mean()
    assert torch.allclose(bent, expected, atol=1e-5)


def test_gamma_from_the_top_is_gamma_upside_down():
    source = image(2, 6, 6)
    powers = (0.8, 1.4)
    assert torch.equal(Gamma(powers, inverted=True).apply(source), -Gamma(powers).apply(-source))


def test_an_image_of_one_value_survives_everything():
    flat = torch.full((2, 8, 8, 8), 0.7)
    rng = np.random.default_rng(0)
    for change in draw_changes(rng, OFTEN.but(noise_probability=0), 2, 3):
        flat_again = change.apply(flat)
        assert torch.isfinite(flat_again).all()
        if not isinstance(change, Brightness):
            assert torch.allclose(flat_again, flat, atol=1e-5)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 3), st.integers(1, 3))
def test_no_change_touches_its_input_and_all_repeat(seed, dims, channels):
    source = image(channels, *(6, 7, 8)[:dims])
    before = source.clone()
    for change in draw_changes(np.random.default_rng(seed), OFTEN, channels, dims):
        once, again = change.apply(source), change.apply(source)
        assert torch.equal(source, before)
        assert torch.equal(once, again)
        assert once.shape == source.shape
        assert once.dtype == torch.float32


# -- draws


def test_every_change_happens_as_often_as_the_plan_says():
    plan = Augmentation()
    rates = {
        Noise: plan.noise_probability,
        Blur: plan.blur_probability,
        Brightness: plan.brightness_probability,
        Contrast: plan.contrast_probability,
        LowResolution: plan.low_resolution_probability,
        Gamma: plan.gamma_probability + plan.gamma_inverted_probability,
    }
    for kind, rate in rates.items():
        assert len(drawn(kind, 4000, augmentation=plan)) / 4000 == pytest.approx(rate, abs=0.025)
    from_the_top = [change.inverted for change in drawn(Gamma, 4000, augmentation=plan)]
    assert np.mean(from_the_top) == pytest.approx(0.25, abs=0.03)


def test_changes_come_in_the_order_of_the_method():
    kinds = [Noise, Blur, Brightness, Contrast, LowResolution, Gamma, Gamma]
    changes = draw_changes(np.random.default_rng(0), OFTEN, 1, 3)
    assert [type(change) for change in changes] == kinds
    assert [change.inverted for change in changes[-2:]] == [True, False]


def test_noise_is_drawn_up_to_a_tenth():
    sds = np.array([noise.sd for noise in drawn(Noise, 2000)])
    assert sds.max() <= 0.1
    assert sds.mean() == pytest.approx(0.05, abs=0.003)
    assert len({noise.seed for noise in drawn(Noise, 200)}) > 195


@pytest.mark.parametrize("kind", [Blur, LowResolution])
def test_blur_and_low_resolution_touch_half_of_the_channels(kind):
    changes = drawn(kind, 2000)
    parameters = [change.sigmas if kind is Blur else change.zooms for change in changes]
    touched = [value is not None for channels in parameters for value in channels]
    assert np.mean(touched) == pytest.approx(0.5, abs=0.03)


def test_blur_is_drawn_per_axis_and_low_resolution_is_not():
    sigmas = np.array([s for blur in drawn(Blur, 500) for s in blur.sigmas if s is not None])
    assert sigmas.shape[1] == 3
    assert sigmas.min() >= 0.5 and sigmas.max() <= 1
    assert np.ptp(sigmas, axis=1).min() > 0
    zooms = np.array([z for low in drawn(LowResolution, 500) for z in low.zooms if z is not None])
    assert zooms.min() >= 0.5 and zooms.max() <= 1


@pytest.mark.parametrize(
    ("kind", "low", "high"), [(Brightness, 0.75, 1.25), (Contrast, 0.75, 1.25), (Gamma, 0.7, 1.5)]
)
def test_factors_weaken_as_often_as_they_strengthen(kind, low, high):
    changes = drawn(kind, 2000)
    factors = np.array([c.powers if kind is Gamma else c.factors for c in changes])
    assert factors.min() >= low and factors.max() <= high
    assert (factors < 1).mean() == pytest.approx(0.5, abs=0.03)
    assert not np.allclose(factors[:, 0], factors[:, 1])  # channels are drawn on their own


def test_the_flat_axis_of_the_plan_reaches_low_resolution():
    flat = OFTEN.but(flat_axis=1)
    assert {low.flat_axis for low in drawn(LowResolution, 20, augmentation=flat)} == {1}
