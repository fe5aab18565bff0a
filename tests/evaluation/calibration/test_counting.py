import numpy as np
import pytest

from delineate.errors import DataError, GeometryError
from delineate.evaluation.calibration import Reliability, tempered
from delineate.evaluation.calibration import counting as module
from delineate.evaluation.calibration.counting import TOP, Forecast
from delineate.evaluation.calibration.regions import boundary, foreground
from delineate.space import LabelMap, LabelSchema, Volume

BAND = 2.0


def forecast_of(reference, probabilities):
    return Forecast.of(reference, probabilities, "case", band_mm=BAND)


def same(found, expected):
    for name in ("n", "ece", "ace", "mce", "brier", "nll"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-6)


def test_every_name_is_counted_in_every_region(worlds):
    reference, probabilities = worlds.scan(0, shape=(12, 11, 10))
    counts = forecast_of(reference, probabilities).counts(15)
    assert set(counts) == {
        (name, where) for name in (TOP, "organ", "cyst") for where in ("everywhere", "foreground", "boundary")
    }
    p, truth = probabilities.array, reference.array
    found = LabelMap(p.argmax(axis=0).astype(np.uint8), reference.geometry, reference.schema)
    regions = {
        "everywhere": np.ones(truth.shape, bool),
        "foreground": foreground(found),
        "boundary": boundary(found, BAND),
    }
    for where, region in regions.items():
        for number, name in enumerate(("organ", "cyst"), 1):
            same(counts[name, where], Reliability.of(p[number][region], truth[region] == number))
        top = Reliability.of(p.max(axis=0)[region], (p.argmax(axis=0) == truth)[region])
        assert counts[TOP, where].ece == pytest.approx(top.ece)
        assert counts[TOP, where].n == region.sum()


def test_brier_and_likelihood_of_the_top_label_are_those_of_all_classes(worlds):
    reference, probabilities = worlds.scan(1, shape=(9, 8, 7))
    p = probabilities.array.reshape(3, -1).astype(float)
    truth = reference.array.ravel()
    one_hot = np.eye(3)[truth].T
    top = forecast_of(reference, probabilities).counts(15)[TOP, "everywhere"]
    assert top.brier == pytest.approx(((p - one_hot) ** 2).sum(axis=0).mean())
    assert top.nll == pytest.approx(-np.log(p[truth, np.arange(len(truth))]).mean())


def test_pieces_make_no_difference(worlds, monkeypatch):
    reference, probabilities = worlds.scan(2, shape=(12, 11, 10))
    whole = forecast_of(reference, probabilities).counts(15)
    monkeypatch.setattr(module, "PIECE", 100)
    parts = forecast_of(reference, probabilities).counts(15)
    for key, found in whole.items():
        same(parts[key], found)


def test_what_nobody_annotated_is_not_counted(worlds):
    reference, probabilities = worlds.scan(3, shape=(12, 11, 10))
    schema = LabelSchema(labels=worlds.SCHEMA.labels, ignore=9)
    values = reference.array.copy()
    values[:5] = 9
    open_ = LabelMap(values, reference.geometry, schema)
    forecast = forecast_of(open_, probabilities)
    counts = forecast.counts(15)
    assert counts[TOP, "everywhere"].n == 7 * 11 * 10
    p = probabilities.array[:, 5:]
    same(counts["organ", "everywhere"], Reliability.of(p[1].ravel(), (values[5:] == 1).ravel()))
    sample = forecast.sample(np.random.default_rng(0), 10**6)
    assert sample.weight.sum() == 7 * 11 * 10


def test_regions_are_counted_one_by_one(worlds):
    reference, probabilities = worlds.nested(4, shape=(12, 11, 10))
    forecast = forecast_of(reference, probabilities)
    counts = forecast.counts(15)
    assert {name for name, _ in counts} == {"whole", "inner"}
    whole = Reliability.of(probabilities.array[0].ravel(), (reference.array > 0).ravel())
    same(counts["whole", "everywhere"], whole)
    warm = tempered(probabilities.array, 2.0, exclusive=False)
    same(
        forecast.counts(15, 2.0)["inner", "everywhere"],
        Reliability.of(warm[1].ravel(), (reference.array == 1).ravel()),
    )
    sample = forecast.sample(np.random.default_rng(0), 10**6)
    assert sample.logs.shape == (2 * 12 * 11 * 10, 2)


def test_regions_with_an_ignore_label_leave_it_out(worlds):
    reference, probabilities = worlds.nested(4, shape=(12, 11, 10))
    schema = reference.schema.but(ignore=7)
    values = reference.array.copy()
    values[0] = 7
    forecast = forecast_of(LabelMap(values, reference.geometry, schema), probabilities)
    assert forecast.counts(15)["whole", "everywhere"].n == 11 * 11 * 10
    assert forecast.sample(np.random.default_rng(0), 10**6).weight.sum() == 2 * 11 * 11 * 10


def test_a_temperature_changes_how_sure_and_not_what(worlds):
    reference, probabilities = worlds.scan(5, shape=(12, 11, 10))
    forecast = forecast_of(reference, probabilities)
    cold, warm = forecast.counts(15), forecast.counts(15, 3.0)
    for where in ("everywhere", "foreground", "boundary"):
        assert cold[TOP, where].frequency == warm[TOP, where].frequency
        assert cold[TOP, where].n == warm[TOP, where].n
    assert warm[TOP, "everywhere"].forecast < cold[TOP, "everywhere"].forecast


def test_label_values_need_not_be_in_order(worlds):
    reference, probabilities = worlds.scan(6, shape=(9, 8, 7))
    schema = LabelSchema.model_validate(
        {"labels": [{"value": 128, "name": "organ"}, {"value": 50, "name": "cyst"}]}
    )
    values = np.array([0, 128, 50])[reference.array]
    other = forecast_of(LabelMap(values, reference.geometry, schema), probabilities).counts(15)
    for key, found in forecast_of(reference, probabilities).counts(15).items():
        same(other[key], found)


# --- degenerate


def test_a_picture_one_voxel_and_nothing_seen_are_counted(worlds):
    for shape in ((16, 12, 1), (1, 1, 1)):
        reference, probabilities = worlds.scan(7, shape=shape)
        assert forecast_of(reference, probabilities).counts(15)[TOP, "everywhere"].n == np.prod(shape)
    geometry = worlds.grid((4, 4, 4))
    nothing = np.zeros((3, 4, 4, 4), np.float32)
    nothing[0] = 1
    reference = LabelMap(np.zeros((4, 4, 4), np.uint8), geometry, worlds.SCHEMA)
    counts = forecast_of(reference, Volume(nothing, geometry, worlds.SCHEMA.outputs)).counts(15)
    assert counts[TOP, "everywhere"].ece == 0
    assert counts[TOP, "foreground"].n == counts["cyst", "boundary"].n == 0
    assert counts["cyst", "everywhere"].ece == 0


def test_rounded_probabilities_are_taken_and_brought_back_into_range(worlds):
    reference, probabilities = worlds.scan(8, shape=(6, 6, 6))
    array = np.round(probabilities.array * 100).astype(np.float32) / 100
    array[0] -= 0.005
    counts = forecast_of(reference, Volume(array, reference.geometry, probabilities.channels)).counts(15)
    assert 0 <= counts[TOP, "everywhere"].ece <= 1


def test_certain_labels_as_whole_numbers_are_probabilities_too(worlds):
    reference, _ = worlds.scan(9, shape=(6, 6, 6))
    array = np.stack([reference.array == n for n in range(3)]).astype(np.uint8)
    counts = forecast_of(reference, Volume(array, reference.geometry, worlds.SCHEMA.outputs)).counts(15)
    assert counts[TOP, "everywhere"].ece == counts[TOP, "everywhere"].nll == 0


# --- refused


def test_other_outputs_are_refused(worlds):
    reference, probabilities = worlds.scan(0, shape=(6, 6, 6))
    two = Volume(probabilities.array[:2], reference.geometry, ("a", "b"))
    with pytest.raises(DataError, match=r"case: expected the probabilities of 3 outputs \(background, organ"):
        forecast_of(reference, two)


def test_another_grid_is_refused(worlds):
    reference, probabilities = worlds.scan(0, shape=(6, 6, 6))
    moved = worlds.grid((6, 6, 6), (1, 1, 2))
    with pytest.raises(GeometryError, match="case: reference and probabilities are on different grids"):
        forecast_of(reference, Volume(probabilities.array, moved, probabilities.channels))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda p: np.log(p), "probabilities lie between 0 and 1, got -.* If these are logits"),
        (lambda p: p * np.nan, "probabilities lie between 0 and 1, got nan"),
        (lambda p: p / 2, "should add up to 1 in every voxel, got 0.5 to 0.5"),
    ],
)
def test_what_are_no_probabilities_is_refused(worlds, change, says):
    reference, probabilities = worlds.scan(0, shape=(6, 6, 6))
    wrong = Volume(change(probabilities.array), reference.geometry, probabilities.channels)
    with pytest.raises(DataError, match=f"case: .*{says}"):
        forecast_of(reference, wrong)
