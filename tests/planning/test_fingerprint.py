from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import cc3d
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.dataset import Case, Dataset
from delineate.errors import DataError, PlanError, RecordError
from delineate.planning.fingerprint import Fingerprint, fingerprint
from delineate.planning.histogram import TOLERANCE
from delineate.space import Box, Geometry, LabelMap, LabelSchema, Volume

SCHEMA = LabelSchema.of("organ", "lesion")


@dataclass(frozen=True)
class Memory:
    """A dataset whose cases are in memory: id -> scan and labels."""

    scans: dict
    schema: LabelSchema = SCHEMA
    name: str = "memory"
    root: Path = Path("nowhere")
    channels: tuple = ("T1", "T2")
    asked: list = field(default_factory=list)
    numbers_objects: bool = False

    @property
    def cases(self):
        return tuple(Case(id=name, images=(Path(name),), labels=Path(name)) for name in self.scans)

    def pair(self, case):
        self.asked.append(case.id)
        return self.scans[case.id]

    def objects(self, case):
        return cc3d.connected_components((self.scans[case.id][1].array > 0).astype(np.uint8)).astype(np.int32)


def made(seed=0, shape=(9, 8, 7), spacing=(1, 1, 2), dtype=np.float32, orientation="RAS", schema=SCHEMA):
    """A scan of two channels with an empty border along i, and labels 0, 1, 2."""
    rng = np.random.default_rng(seed)
    geometry = Geometry(shape, np.diag([*spacing, 1.0])).reoriented(orientation)
    array = rng.normal(100 + seed, 20, (2, *geometry.shape)).astype(dtype)
    array[:, :2] = 0
    labels = rng.integers(0, 3, geometry.shape).astype(np.uint8)
    labels[:2] = 0
    return Volume(array, geometry, ("T1", "T2")), LabelMap(labels, geometry, schema)


def foreground(scans, channel):
    return [scan.array[channel][labels.array > 0] for scan, labels in scans.values()]


SCANS = {f"case_{n}": made(n, shape=(9 + n, 8, 7), spacing=(1, 1 + n / 10, 2)) for n in range(5)}
FOUND = fingerprint(Memory(SCANS))
EACH = [fingerprint(Memory({name: pair})) for name, pair in SCANS.items()]


# ---- laws of merging


@given(st.permutations(EACH), st.integers(1, 4))
@settings(max_examples=30)
def test_merging_in_any_order_and_grouping_gives_the_same_bits(parts, cut):
    first = list(accumulate(parts[:cut], Fingerprint.merged))[-1]
    second = list(accumulate(reversed(parts[cut:]), lambda a, b: b.merged(a)))[-1]
    assert first.merged(second) == FOUND
    assert first.merged(second).digest() == FOUND.digest()


def test_more_workers_find_the_same():
    assert fingerprint(Memory(SCANS), workers=1) == FOUND == fingerprint(Memory(SCANS), workers=3)


def test_the_order_of_the_cases_does_not_matter():
    assert fingerprint(Memory(dict(reversed(SCANS.items())))) == FOUND


def test_a_fingerprint_read_back_is_the_same():
    assert Fingerprint.from_json(FOUND.to_json(), where="fingerprint.json") == FOUND


@pytest.mark.parametrize(
    "change",
    [{"dataset": "another"}, {"labels": LabelSchema.of("a", "b")}, {"channels": ("T1", "FLAIR")}],
    ids=lambda change: next(iter(change)),
)
def test_fingerprints_of_different_things_do_not_merge(change):
    (what,) = change
    with pytest.raises(PlanError, match=f"fingerprints of different {what} do not merge.*rename one"):
        EACH[0].merged(EACH[1].but(**change))


def test_a_case_counts_once():
    with pytest.raises(PlanError, match="these cases are in both fingerprints: case_1"):
        FOUND.merged(EACH[1])


# ---- what is measured


def test_shapes_are_those_without_the_empty_border():
    assert FOUND.shapes.tolist() == [[9 + n, 8, 7] for n in range(5)]
    assert FOUND.cropped_shapes.tolist() == [[7 + n, 8, 7] for n in range(5)]
    assert FOUND.kept == pytest.approx(9 / 11)  # the median case
    assert FOUND.spacings.tolist() == [[1, 1 + n / 10, 2] for n in range(5)]
    assert {case.dtype for case in FOUND.cases} == {"float32"}


@pytest.mark.parametrize("channel", [0, 1])
def test_intensities_are_those_of_all_foreground_voxels_with_equal_weight_for_each_case(channel):
    values = foreground(SCANS, channel)
    found = FOUND.intensities(channel)
    weights = np.concatenate([np.full(v.size, 1 / v.size) for v in values])
    every = np.concatenate(values).astype(np.float64)
    mean = np.average(every, weights=weights)
    assert found.mean == pytest.approx(mean)
    assert found.sd == pytest.approx(np.sqrt(np.average((every - mean) ** 2, weights=weights)))
    assert (found.minimum, found.maximum) == (every.min(), every.max())
    percentiles = np.percentile(every, (0.5, 50, 99.5), weights=weights, method="inverted_cdf")
    assert (found.low, found.median, found.high) == pytest.approx(tuple(percentiles), rel=TOLERANCE)


def test_of_one_case_they_are_those_of_its_voxels():
    (values,) = foreground({"case_0": SCANS["case_0"]}, 0)
    found = EACH[0].intensities(0)
    assert found.mean == pytest.approx(values.mean(dtype=np.float64))
    assert found.sd == pytest.approx(values.std(dtype=np.float64))
    assert found.median == pytest.approx(np.percentile(values, 50, method="inverted_cdf"), rel=TOLERANCE)


def test_label_volumes_are_counted_in_the_order_of_the_schema():
    for case, (_, labels) in zip(FOUND.cases, SCANS.values(), strict=True):
        assert case.label_voxels == ((labels.array == 1).sum(), (labels.array == 2).sum())


def test_the_ignore_label_is_neither_foreground_nor_a_structure():
    schema = SCHEMA.but(ignore=7)
    scan, labels = made(schema=schema)
    marked = labels.array.copy()
    marked[labels.array == 2] = 7
    found = fingerprint(Memory({"a": (scan, LabelMap(marked, scan.geometry, schema))}, schema=schema))
    assert found.cases[0].label_voxels == ((labels.array == 1).sum(), 0)
    assert found.intensities(0).mean == pytest.approx(scan.array[0][labels.array == 1].mean(dtype=np.float64))


def test_a_case_without_foreground_says_nothing_about_intensities():
    scan, labels = made(9)
    empty = LabelMap(np.zeros_like(labels.array), labels.geometry, SCHEMA)
    found = fingerprint(Memory(SCANS | {"empty": (scan, empty)}))
    assert len(found.cases) == 6
    assert found.intensities(0) == FOUND.intensities(0)
    assert fingerprint(Memory({"empty": (scan, empty)})).intensities(0) is None


def test_ranges_are_of_the_whole_scan():
    for case, (scan, _) in zip(FOUND.cases, SCANS.values(), strict=True):
        assert [(r.minimum, r.maximum) for r in case.ranges] == [(c.min(), c.max()) for c in scan.array]


# ---- orientation


def test_cases_are_turned_to_how_most_of_them_lie():
    lying = {"a": "LPS", "b": "LPS", "c": "SRA", "d": "RAS"}
    scans = {name: made(0, (9, 8, 7), (1, 1.5, 2), orientation=code) for name, code in lying.items()}
    found = fingerprint(Memory(scans))
    assert found.orientation == "LPS"
    assert found.shapes.tolist() == [[9, 8, 7]] * 4
    assert found.spacings.tolist() == [[1, 1.5, 2]] * 4
    assert {case.id: case.orientation for case in found.cases} == lying


def test_among_equals_the_first_in_the_alphabet_is_taken_however_they_are_merged():
    a, b = (fingerprint(Memory({code: made(0, orientation=code)})) for code in ("RAS", "LPS"))
    assert a.merged(b).orientation == b.merged(a).orientation == "LPS"


def test_what_a_dataset_says_changes_with_the_majority():
    one = fingerprint(Memory({"a": made(0, (9, 8, 7), orientation="SRA")}))
    two = fingerprint(Memory({name: made(0, (9, 8, 7), orientation="RAS") for name in "bc"}))
    assert one.shapes.tolist() == [[7, 9, 8]]
    assert one.merged(two).shapes.tolist() == [[9, 8, 7]] * 3


# ---- refusals


def test_a_dataset_without_labels_cannot_be_measured():
    with pytest.raises(DataError, match="memory: has no labelled case to measure"):
        fingerprint(Memory({}))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_scan_with_values_that_are_no_numbers_is_refused_by_name(wrong, workers):
    scan, labels = made()
    scan.array[1, 3, 3, :2] = wrong
    with pytest.raises(DataError, match="bad: 2 voxels of channel 'T2' are NaN or infinite"):
        fingerprint(Memory(SCANS | {"bad": (scan, labels)}), workers=workers)


def test_progress_is_told_case_by_case():
    told = []
    fingerprint(Memory(SCANS), progress=lambda done, total, what: told.append((done, total, what)))
    assert told == [(n + 1, 5, f"case_{n}") for n in range(5)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cases": tuple(reversed(FOUND.cases))}, "cases come in the order of their ids"),
        ({"foreground": ()}, "2 channels need as many foreground histograms"),
        ({"channels": (), "foreground": ()}, "0 channels need as many"),
        ({"cases": (FOUND.cases[0].but(ranges=()),)}, "case_0: one range per channel, got 0"),
        ({"cases": (FOUND.cases[0].but(label_voxels=(1,)),)}, "case_0: one volume per label, got 1"),
    ],
)
def test_a_fingerprint_that_does_not_hold_together_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        FOUND.but(**change)


def test_an_unknown_field_is_refused_with_its_name():
    text = FOUND.to_json().replace('"dataset"', '"datset"')
    with pytest.raises(RecordError, match="datset"):
        Fingerprint.from_json(text, where="fingerprint.json")


# ---- real data


def test_hippocampi_are_measured_in_about_a_second(shared_data):
    dataset = Dataset.open(shared_data / "hippocampus")
    found = fingerprint(dataset.subset(dataset.ids[:20]))
    assert found.spacings.tolist() == [[1, 1, 1]] * 20
    assert np.median(found.cropped_shapes, axis=0) == pytest.approx([35, 50, 36], abs=3)
    assert all(min(case.label_voxels) > 0 for case in found.cases)


def test_the_box_is_that_of_any_channel():
    scan, labels = made()
    scan.array[1, :2, 4, 4] = 3
    found = fingerprint(Memory({"a": (scan, labels)}))
    assert found.cropped_shapes.tolist() == [list(Box((0, 0, 0), (9, 8, 7)).shape)]


def test_objects_are_measured_where_labels_number_them_and_merge_in_any_order():
    scans = {name: made(seed, orientation="RAS") for seed, name in enumerate("abc")}
    whole = fingerprint(Memory(scans, numbers_objects=True), workers=1)
    assert whole.objects.count == 3
    assert fingerprint(Memory(scans), workers=1).objects is None
    parts = [
        fingerprint(Memory({name: scan}, numbers_objects=True), workers=1) for name, scan in scans.items()
    ]
    assert parts[0].merged(parts[1].merged(parts[2])) == whole
    assert parts[2].merged(parts[0]).merged(parts[1]) == whole
