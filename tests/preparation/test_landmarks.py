"""Histogram matching: percentiles lie where the dataset has them, whatever the scanner's curve was."""

import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.io import write_labels, write_volume
from delineate.planning import fingerprint, make_plan
from delineate.planning.generalize import matched
from delineate.planning.plan import LANDMARKS
from delineate.preparation import prepare_scan
from delineate.preparation.landmarks import learn_landmarks
from delineate.preparation.normalize import match_landmarks
from delineate.space import Volume
from delineate.space.phantoms import balls

RNG = np.random.default_rng


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("landmarks")
    for number in range(4):
        scan, labels = balls(RNG(number), size=16)
        scan = Volume(scan.array * (number + 1) + 30, scan.geometry, scan.channels)
        write_volume(scan, folder / "images" / f"ball_{number}.nii.gz")
        write_labels(labels, folder / "labels" / f"ball_{number}.nii.gz")
    return Dataset.open(folder)


@pytest.fixture(scope="module")
def plans(dataset):
    plan = make_plan(fingerprint(dataset), device="cpu", steps=2)
    return plan, matched(plan, learn_landmarks(dataset, plan), 4)


def test_landmarks_rise_and_are_in_standard_deviations(dataset, plans):
    (landmarks,) = learn_landmarks(dataset, plans[0]).values()
    assert len(landmarks) == len(LANDMARKS)
    assert list(landmarks) == sorted(landmarks)
    assert -4 < landmarks[0] < 0 < landmarks[-1] < 6
    assert landmarks == plans[1].channels[0].normalization.landmarks
    assert learn_landmarks(dataset, plans[1]) == learn_landmarks(dataset, plans[0])  # not of what is matched


def test_percentiles_of_a_prepared_scan_lie_at_the_landmarks(dataset, plans):
    plan = plans[1].but(crop_to_nonzero=False)
    scan = dataset.scan(dataset.cases[2])
    values = RNG(0).permutation(scan.array.ravel()).astype(np.float32)
    match_landmarks(values.reshape(16, 16, 16), None, plan.channels[0].normalization.landmarks)
    assert np.percentile(values, LANDMARKS) == pytest.approx(
        plan.channels[0].normalization.landmarks, abs=1e-3
    )


def test_another_gain_and_gamma_give_nearly_the_same_input(dataset, plans):
    scan = dataset.scan(dataset.cases[0])
    low, high = scan.array.min(), scan.array.max()
    bent = ((scan.array - low) / (high - low)) ** 1.7 * 900 + 100
    other = Volume(bent.astype(np.float32), scan.geometry, scan.channels)
    away = []
    for plan in plans:
        one, two = (prepare_scan(s, plan, plan.configuration()).array for s in (scan, other))
        away.append(np.abs(one - two).mean())
    assert away[1] < 0.35 * away[0]


def test_values_beyond_the_percentiles_go_on_as_steeply():
    values = np.arange(101, dtype=np.float32)
    match_landmarks(values.reshape(101, 1, 1), None, tuple(np.array(LANDMARKS) / 100.0))
    assert values == pytest.approx(np.arange(101) / 100.0, abs=1e-5)


def test_outside_the_mask_stays_zero():
    values = np.arange(1, 65, dtype=np.float32).reshape(4, 4, 4)
    mask = values > 32
    match_landmarks(values, mask, tuple(np.linspace(-2, 2, len(LANDMARKS))))
    assert not values[~mask].any()
    assert values[mask].min() < 0 < values[mask].max()


@pytest.mark.parametrize("constant", [np.zeros((3, 3, 3)), np.full((3, 3, 3), 9.0)])
def test_a_constant_channel_becomes_zero(constant):
    values = constant.astype(np.float32)
    match_landmarks(values, None, tuple(np.linspace(-2, 2, len(LANDMARKS))))
    assert not values.any()


def test_mostly_background_counts_it_once():
    values = np.zeros(1000, np.float32)
    values[900:] = np.linspace(1, 2, 100)
    match_landmarks(values.reshape(10, 10, 10), None, tuple(np.linspace(-1, 3, len(LANDMARKS))))
    assert np.isfinite(values).all()
    assert (np.diff(values[900:]) > 0).all()
    assert len(set(values[:900].tolist())) == 1


def test_a_constant_scan_teaches_nothing(tmp_path, plans):
    scan, labels = balls(RNG(1), size=16)
    write_volume(Volume(np.full_like(scan.array, 5), scan.geometry), tmp_path / "images" / "a.nii.gz")
    write_labels(labels, tmp_path / "labels" / "a.nii.gz")
    assert learn_landmarks(Dataset.open(tmp_path), plans[0]) == {}
