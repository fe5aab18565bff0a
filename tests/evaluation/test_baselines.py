import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.evaluation import METHODS, Baselines, Confusion, fit_baselines, segment_classically
from delineate.evaluation.baselines import (
    OtsuClass,
    Window,
    _deepest,
    _small,
    best_pair,
    flooded,
    grown,
    otsu_class,
    within,
)
from delineate.space import Geometry, LabelMap, LabelSchema, Volume
from delineate.space.phantoms import balls, cells, head, sparse


def rng(seed):
    return np.random.default_rng(seed)


def cohort(make, count, **options):
    return {f"case_{n}": make(rng(n), **options) for n in range(count)}


def mean_dice(known, cases, baselines, method, structure):
    found = [
        Confusion.of(
            known[case][1].mask(structure),
            segment_classically(known[case][0], baselines, method).mask(structure),
        ).dice()
        for case in cases
    ]
    return np.mean([dice for dice in found if dice is not None])


@pytest.fixture(scope="module")
def fitted_balls():
    known = cohort(balls, 7, noise=0.05)
    return known, fit_baselines(list(known)[:4], known.__getitem__)


def window(low, high, scale="values"):
    return Window(channel="image", scale=scale, low=low, high=high)


# --- what they reach


def test_an_easy_phantom_is_solved_without_learning(fitted_balls):
    known, baselines = fitted_balls
    wanted = {"threshold": 0.95, "otsu": 0.95, "watershed": 0.9, "region growing": 0.85}
    for method, least in wanted.items():
        assert mean_dice(known, list(known)[4:], baselines, method, "large ball") > least
        if method != "region growing":  # a flood from the small ball runs over into noise
            assert mean_dice(known, list(known)[4:], baselines, method, "small ball") > 0.85


def test_a_hard_phantom_is_not():
    known = cohort(head, 4, spacing_mm=6.0)
    baselines = fit_baselines(list(known)[:2], known.__getitem__)
    for method in METHODS:
        assert mean_dice(known, list(known)[2:], baselines, method, "whole tumour") < 0.8
    assert [rule.structure for rule in baselines.rules] == list(baselines.labels.structures)


def test_colour_pictures_are_segmented_too():
    known = cohort(cells, 4, size=64)
    baselines = fit_baselines(list(known)[:3], known.__getitem__)
    assert mean_dice(known, ["case_3"], baselines, "threshold", "nucleus") > 0.9
    assert baselines.channels == ("red", "green", "blue")


def test_the_training_dice_is_kept_by_method(fitted_balls):
    known, baselines = fitted_balls
    for rule in baselines.rules:
        assert set(rule.dice) == set(METHODS)
    method = "threshold"
    again = mean_dice(known, baselines.cases, baselines, method, "large ball")
    assert again == pytest.approx(baselines.rules[0].dice[method], abs=0.01)


# --- what they know and when


def test_segmenting_looks_at_the_scan_and_the_rules_alone(fitted_balls):
    known, baselines = fitted_balls
    again = Baselines.from_json(baselines.to_json(), where="baselines.json")
    assert again == baselines
    scan, _ = known["case_6"]
    for method in METHODS:
        first, second = (segment_classically(scan, b, method) for b in (baselines, again))
        assert np.array_equal(first.array, second.array)


def test_only_the_training_cases_are_looked_at():
    known = cohort(balls, 3)
    seen = []

    def load(case):
        seen.append(case)
        return known[case]

    baselines = fit_baselines(["case_0", "case_2"], load)
    assert seen == ["case_0", "case_2"] == list(baselines.cases)


def test_structures_fitted_at_the_same_time_are_fitted_alike(fitted_balls):
    known, baselines = fitted_balls
    assert fit_baselines(list(known)[:4], known.__getitem__, workers=2) == baselines


def test_progress_names_each_case():
    known = cohort(balls, 2)
    seen = []
    fit_baselines(list(known), known.__getitem__, progress=lambda *call: seen.append(call))
    assert seen == [(1, 2, "case_0"), (2, 2, "case_1")]


def test_a_structure_that_no_training_case_has_is_never_found():
    scan, labels = balls(rng(1))
    only = LabelMap(np.where(labels.array == 1, 1, 0), labels.geometry, labels.schema)
    baselines = fit_baselines(["a"], lambda _: (scan, only))
    assert [rule.structure for rule in baselines.rules] == ["large ball"]
    for method in METHODS:
        assert not segment_classically(scan, baselines, method).mask("small ball").any()


def test_labels_come_back_on_the_grid_of_the_scan():
    scan, labels = sparse(rng(1), size=72)  # more voxels than the baselines look at
    small = _small(scan)
    assert small.array.size <= 250_000 < scan.array.size
    baselines = fit_baselines(["a"], lambda _: (scan, labels))
    found = segment_classically(scan, baselines, "threshold")
    assert found.geometry.same_place(scan.geometry)


def test_small_scans_are_left_as_they_are():
    scan, _ = balls(rng(1))
    assert _small(scan) is scan


def test_no_training_cases_are_refused():
    with pytest.raises(DataError, match="fitted to training cases, got none"):
        fit_baselines([], lambda _: balls(rng(0)))


def test_a_scan_with_other_channels_is_refused(fitted_balls):
    _, baselines = fitted_balls
    scan, _ = cells(rng(0))
    with pytest.raises(DataError, match="read the channels image; the scan has red, green, blue"):
        segment_classically(scan, baselines, "threshold")


def test_a_constant_scan_gives_an_empty_or_a_full_map_and_no_error(fitted_balls):
    known, baselines = fitted_balls
    scan, _ = known["case_0"]
    flat = Volume(np.zeros_like(scan.array), scan.geometry)
    for method in METHODS:
        assert segment_classically(flat, baselines, method).array.shape == scan.geometry.shape


# --- equal to what others compute


def picture(values):
    array = np.asarray(values, np.float32)
    return Volume(array[None], Geometry(array.shape, np.eye(4)))


@pytest.fixture
def noisy():
    scan, _ = balls(rng(8))
    return scan


def test_otsus_threshold_is_that_of_simpleitk(noisy):
    sitk = pytest.importorskip("SimpleITK")
    ours = otsu_class(noisy, OtsuClass(channel="image", classes=2, chosen=1))
    peer = sitk.OtsuMultipleThresholds(sitk.GetImageFromArray(noisy.array[0]), 1, 0, 256)
    assert (ours == (sitk.GetArrayFromImage(peer) == 1)).mean() > 0.999


def test_the_classes_of_otsu_share_all_voxels(noisy):
    for classes in (2, 3):
        parts = [
            otsu_class(noisy, OtsuClass(channel="image", classes=classes, chosen=n)) for n in range(classes)
        ]
        assert (np.sum(parts, axis=0) == 1).all()
    assert not otsu_class(picture(np.zeros((3, 3, 3))), OtsuClass(channel="image", classes=2, chosen=1)).any()


@pytest.mark.parametrize("tolerance", [0.3, 1.0, 2.0])
def test_region_growing_is_the_connected_threshold_of_simpleitk(noisy, tolerance):
    sitk = pytest.importorskip("SimpleITK")
    from scipy import ndimage

    ours = grown(noisy, window(0.5, None), tolerance)
    smooth = ndimage.gaussian_filter(noisy.array[0], 1.0)
    seed = _deepest(noisy.array[0] >= 0.5, noisy.geometry)
    near = tolerance * float(smooth.std())
    middle = float(smooth[seed])
    peer = sitk.ConnectedThreshold(
        sitk.GetImageFromArray(smooth),
        [seed[::-1]],  # x, y, z of an array that SimpleITK takes as z, y, x
        lower=middle - near,
        upper=middle + near,
    )
    assert np.array_equal(ours, sitk.GetArrayFromImage(peer) == 1)


def test_the_watershed_stops_at_the_steepest_slope():
    i, j, k = np.ogrid[:24, :24, :24]
    inside = (i - 12) ** 2 + (j - 12) ** 2 + (k - 12) ** 2 < 64
    scan = picture(inside.astype(float))
    found = flooded(scan, window(0.5, None), 0.5)
    assert Confusion.of(inside, found).dice() > 0.93
    assert not flooded(scan, window(2.0, None), 0.5).any()


@pytest.mark.parametrize("scale", ["values", "ranks"])
def test_a_window_has_its_lower_end_and_not_its_upper_one(scale):
    scan = picture(np.arange(11.0).reshape(11, 1, 1))
    ends = (0.3, 0.7) if scale == "ranks" else (3.0, 7.0)
    assert np.flatnonzero(within(scan, window(*ends, scale))).tolist() == [3, 4, 5, 6]
    assert within(scan, window(None, None, scale)).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_the_best_window_is_that_of_trying_all(seed):
    draws = rng(seed)
    values = [draws.normal(size=(4, 4, 4)) for _ in range(2)]
    masks = [v + draws.normal(0, 0.7, v.shape) > 0.5 for v in values]
    if not all(mask.any() for mask in masks):
        return
    ends = np.array([-1.0, 0.0, 0.5, 1.0])
    low, high, dice = best_pair(values, masks, [ends, ends])
    tried = []
    for a, b in itertools.combinations([None, *ends, np.inf], 2):
        found = [((v >= (-np.inf if a is None else a)) & (v < b)) for v in values]
        scores = [Confusion.of(m, f).dice() for m, f in zip(masks, found, strict=True)]
        tried.append(np.mean(scores))
    assert dice == pytest.approx(max(tried))
    low_end = -np.inf if low is None else ends[low]
    high_end = np.inf if high is None else ends[high]
    reached = [
        Confusion.of(m, (v >= low_end) & (v < high_end)).dice() for v, m in zip(values, masks, strict=True)
    ]
    assert np.mean(reached) == pytest.approx(dice)


def test_ranks_find_a_structure_whatever_the_units():
    known = {}
    for n, factor in enumerate((1.0, 1000.0, 0.01, 50.0)):
        scan, labels = balls(rng(n), noise=0.05)
        known[str(n)] = (Volume(scan.array * factor, scan.geometry), labels)
    baselines = fit_baselines(["0", "1", "2"], known.__getitem__)
    assert baselines.rules[1].window.scale == "ranks"
    assert mean_dice(known, ["3"], baselines, "threshold", "small ball") > 0.75


def test_small_structures_are_painted_over_large_ones():
    schema = LabelSchema.of("inner", "outer")
    i = np.arange(20).reshape(20, 1, 1) * np.ones((1, 20, 20))
    labels = np.where(i >= 17, 1, np.where(i >= 8, 2, 0)).astype(np.uint8)
    scan = picture(i)
    baselines = fit_baselines(["a"], lambda _: (scan, LabelMap(labels, scan.geometry, schema)))
    assert np.array_equal(segment_classically(scan, baselines, "threshold").array, labels)
