import numpy as np
import pytest
import SimpleITK
from scipy import ndimage

from delineate.errors import DataError
from delineate.planning.plan import ChannelPlan, Denoise, Normalization
from delineate.preparation.clean import cleaned, median, unshaded


def channel(rule, name="T1", **changes):
    denoise = Denoise(rule=rule, **changes)
    return ChannelPlan(name=name, normalization=Normalization(rule="zscore"), denoise=denoise)


@pytest.fixture(scope="module")
def shaded():
    """A head of one tissue with a core of another, the smooth shading on it, and where the tissue is."""
    i, j, k = np.meshgrid(*[np.linspace(-1, 1, 32)] * 3, indexing="ij")
    radius = np.sqrt(i**2 + j**2 + k**2)
    head = np.where(radius < 0.9, 100, 0) + np.where(radius < 0.5, 60, 0)
    head = head + np.random.default_rng(0).normal(0, 2, head.shape)
    shading = np.exp(0.4 * i + 0.3 * j * k)
    return (head * shading).astype(np.float32), (radius < 0.85) & (radius > 0.55)


def variation(values):
    return values.std() / values.mean()


def test_without_a_rule_the_scan_is_the_same_object(scan_of):
    scan = scan_of(np.ones((1, 3, 3, 3)))
    assert cleaned(scan, [channel("none")]) is scan


def test_each_channel_has_its_own_rule_and_the_scan_stays_as_it_was(scan_of):
    array = np.random.default_rng(1).random((2, 6, 5, 4))
    scan = scan_of(array.copy())
    result = cleaned(scan, [channel("none"), channel("median")])
    assert np.array_equal(result.array[0], array[0].astype(np.float32))
    assert not np.array_equal(result.array[1], array[1].astype(np.float32))
    assert np.array_equal(scan.array, array)
    assert result.geometry is scan.geometry


@pytest.mark.parametrize("size", [3, 5])
def test_the_median_repeats_the_border(size):
    values = np.random.default_rng(2).random((7, 6, 5)).astype(np.float32)
    reach = size // 2
    wide = np.pad(values, reach, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, (size,) * 3)
    assert np.array_equal(median(values, size), np.median(windows, axis=(3, 4, 5)))
    assert np.array_equal(median(values, size), ndimage.median_filter(values, size, mode="nearest"))


def test_the_median_of_a_picture_stays_in_its_plane():
    values = np.random.default_rng(3).random((9, 8, 1)).astype(np.float32)
    assert np.array_equal(median(values, 3)[..., 0], ndimage.median_filter(values[..., 0], 3, mode="nearest"))


def test_n4_takes_away_at_least_half_of_the_shading(shaded):
    values, tissue = shaded
    assert variation(unshaded(values, (1.0, 1.0, 1.0))[tissue]) < 0.5 * variation(values[tissue])


def test_n4_is_that_of_simpleitk(shaded):
    values, _ = shaded
    spacing = (1.0, 1.3, 2.0)
    image = SimpleITK.GetImageFromArray(values.transpose(2, 1, 0))  # as ITK has it: k, j, i
    image.SetSpacing(spacing)
    mask = SimpleITK.OtsuThreshold(image, 0, 1, 200)
    n4 = SimpleITK.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([50, 50, 50, 50])
    n4.SetConvergenceThreshold(1e-3)
    n4.Execute(SimpleITK.Shrink(image, [4] * 3), SimpleITK.Shrink(mask, [4] * 3))
    field = SimpleITK.GetArrayFromImage(n4.GetLogBiasFieldAsImage(image)).transpose(2, 1, 0)
    assert np.array_equal(unshaded(values, spacing), values / np.exp(field))


def test_n4_gives_the_same_result_every_time(shaded):
    values, _ = shaded
    assert np.array_equal(unshaded(values, (1.0, 1.0, 1.0)), unshaded(values, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize("part", [np.s_[:, :, 12:13], np.s_[:, :, 12:14], np.s_[10:11]])
def test_n4_works_on_pictures_and_few_slices(shaded, part):
    values, tissue = shaded[0][part], shaded[1][part]
    result = unshaded(values, (1.0, 1.0, 1.0))
    assert result.shape == values.shape
    assert variation(result[tissue]) < variation(values[tissue])


def test_a_constant_channel_has_no_shading():
    values = np.full((8, 8, 8), 5, np.float32)
    assert unshaded(values, (1.0, 1.0, 1.0)) is values


def test_where_n4_cannot_work_the_channel_is_named(scan_of):
    line = scan_of(np.arange(40.0).reshape(1, 40, 1, 1))
    with pytest.raises(DataError, match=r"channel T1: N4 found no bias field.*set denoise to \"none\""):
        cleaned(line, [channel("n4")])
