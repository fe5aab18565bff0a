import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.dataset import Dataset
from delineate.errors import DataError, GeometryError
from delineate.evaluation import Confusion, Rules, border_distances, evaluate, evaluate_case, evaluate_dataset
from delineate.io import write_labels, write_volume
from delineate.space import Box, Geometry, Label, LabelMap, LabelSchema
from delineate.space.phantoms import balls, head, head_schema

SCHEMA = LabelSchema.of("organ", "lesion")
OPEN = LabelSchema(labels=SCHEMA.labels, ignore=9)
SHAPE = (9, 8, 7)
GRID = Geometry(SHAPE, np.diag([2.0, 2.0, 5.0, 1.0]))


def labels(array, schema=SCHEMA, grid=GRID):
    return LabelMap(np.asarray(array, np.uint8), grid, schema)


def with_box(start, stop, value=1, base=None):
    array = np.zeros(SHAPE, np.uint8) if base is None else base.copy()
    array[Box(start, stop).slices] = value
    return array


ORGAN = with_box((2, 2, 2), (6, 6, 5))
EMPTY = np.zeros(SHAPE, np.uint8)
ONE_VOXEL = with_box((4, 4, 3), (5, 5, 4))


def table(rows):
    return {(row.structure, row.metric): row for row in rows}


def rng():
    return np.random.default_rng(0)


@given(*[hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 0, 1, 2, 9]))] * 2)
@settings(max_examples=60, deadline=None)
def test_cutting_to_the_structure_changes_no_number(reference, prediction):
    found = table(evaluate_case(labels(reference, OPEN), labels(prediction, OPEN), "x"))
    known = reference != 9
    for name, value in (("organ", 1), ("lesion", 2)):
        masks = (reference == value) & known, (prediction == value) & known
        counts = Confusion.of(*masks, known)
        assert found[name, "dice"].value == counts.dice()
        assert found[name, "volume_reference"].value == pytest.approx(counts.reference * GRID.voxel_ml)
        apart = border_distances(*masks, GRID, known)
        expected = None if apart is None else pytest.approx(apart.percentile_directed())
        assert found[name, "hd95"].value == expected


def test_specificity_counts_the_whole_scan():
    rules = Rules(metrics=("specificity", "accuracy"))
    found = table(evaluate_case(labels(ORGAN), labels(np.roll(ORGAN, 1, 0)), "x", rules=rules))
    assert found["organ", "specificity"].value == 1 - 12 / (9 * 8 * 7 - 48)
    assert found["organ", "accuracy"].value == 1 - 24 / (9 * 8 * 7)


@pytest.mark.parametrize(
    ("reference", "prediction", "dice", "hd95", "note"),
    [
        (EMPTY, EMPTY, None, None, "both empty"),
        (ORGAN, EMPTY, 0.0, None, "prediction empty"),
        (EMPTY, ORGAN, 0.0, None, "reference empty"),
        (ONE_VOXEL, ONE_VOXEL, 1.0, 0.0, None),
        (ONE_VOXEL, np.roll(ONE_VOXEL, 1, 2), 0.0, 5.0, None),
        (np.ones(SHAPE), np.ones(SHAPE), 1.0, 0.0, None),
    ],
    ids=["both empty", "missed", "invented", "one voxel", "one voxel beside", "everything"],
)
def test_degenerate_masks_have_values_or_say_why_not(reference, prediction, dice, hd95, note):
    found = table(evaluate_case(labels(reference), labels(prediction), "x"))
    assert found["organ", "dice"].value == dice
    assert found["organ", "hd95"].value == hd95
    assert found["organ", "hd95"].note == note


def test_a_structure_at_the_edge_of_the_scan_is_flagged_not_dropped():
    at_edge = with_box((0, 2, 2), (4, 5, 5))
    found = table(evaluate_case(labels(at_edge), labels(at_edge), "x"))
    assert found["organ", "dice"].value == 1
    assert found["organ", "volume_reference"].note == "cut off by the edge of the scan"
    inside = table(evaluate_case(labels(ORGAN), labels(ORGAN), "x"))
    assert inside["organ", "volume_reference"].note is None


def test_what_nobody_annotated_is_not_judged():
    reference = with_box((6, 0, 0), (9, 8, 7), value=9, base=ORGAN)
    prediction = with_box((6, 2, 2), (9, 6, 5), base=ORGAN)  # goes on into the unknown
    found = table(evaluate_case(labels(reference, OPEN), labels(prediction, OPEN), "x"))
    assert found["organ", "dice"].value == 1
    assert found["organ", "hd95"].value == 0
    assert found["organ", "volume_error"].value == 0


def test_nested_regions_are_judged_as_regions():
    _, truth = head(np.random.default_rng(1), spacing_mm=5.0)
    found = table(evaluate_case(truth, truth, "head"))
    assert {structure for structure, _ in found} == set(head_schema().structures)
    assert found["tumour core", "volume_reference"].value == pytest.approx(truth.volume_ml("tumour core"))


def test_values_of_the_two_schemas_may_differ_if_the_names_agree():
    other = LabelSchema(labels=(Label(value=5, name="organ"), Label(value=1, name="lesion")))
    found = table(evaluate_case(labels(ORGAN), labels(ORGAN * 5, other), "x"))
    assert found["organ", "dice"].value == 1


def test_other_grids_are_refused_with_case_and_grids():
    moved = Geometry(SHAPE, np.diag([2.0, 2.0, 4.0, 1.0]))
    with pytest.raises(
        GeometryError, match=r"(?s)case_7: .*different grids.*2 x 2 x 5 mm.*2 x 2 x 4 mm.*regrid"
    ):
        evaluate_case(labels(ORGAN), labels(ORGAN, grid=moved), "case_7")


def test_a_prediction_is_resampled_only_where_asked_and_every_row_says_so():
    turned = labels(ORGAN).reoriented("LPS")
    with pytest.raises(GeometryError, match="different grids"):
        evaluate_case(labels(ORGAN), turned, "x")
    rows = evaluate_case(labels(ORGAN), turned, "x", rules=Rules(regrid=True))
    assert table(rows)["organ", "dice"].value == 1
    assert all("prediction resampled from Geometry(9 x 8 x 7" in row.note for row in rows)


def test_grids_that_differ_by_rounding_are_one_grid():
    near = Geometry(SHAPE, GRID.affine.astype(np.float32).astype(float) + 1e-4)
    assert table(evaluate_case(labels(ORGAN), labels(ORGAN, grid=near), "x"))["organ", "dice"].value == 1


def test_a_structure_that_the_prediction_does_not_know_is_refused():
    with pytest.raises(DataError, match="case_3: the prediction has no 'lesion'; it has organ"):
        evaluate_case(labels(ORGAN), labels(ORGAN, LabelSchema.of("organ")), "case_3")


# --- many cases


def pairs(count=5):
    result = {}
    for n in range(count):
        _, truth = balls(np.random.default_rng(n))
        result[f"case_{n}"] = (truth, LabelMap(np.roll(truth.array, n % 3, 0), truth.geometry, truth.schema))
    return result


def test_a_report_does_not_depend_on_the_number_of_workers():
    known = pairs()
    one, three = (
        evaluate(list(known), known.__getitem__, rng=rng(), title="t", workers=workers) for workers in (1, 3)
    )
    assert one == three
    assert one.cases == tuple(known)
    assert [row.case for row in one.rows] == sorted(row.case for row in one.rows)


def test_progress_names_each_case_as_it_is_done():
    seen = []
    known = pairs(3)
    evaluate(list(known), known.__getitem__, rng=rng(), progress=lambda *call: seen.append(call))
    assert seen == [(1, 3, "case_0"), (2, 3, "case_1"), (3, 3, "case_2")]


def test_groups_are_the_patients_of_the_intervals():
    known = pairs(6)
    apart = evaluate(list(known), known.__getitem__, rng=rng())
    together = evaluate(list(known), known.__getitem__, rng=rng(), groups=dict.fromkeys(known, "p"))
    assert apart.groups["case_1"] == "case_1"
    assert apart.summary("large ball", "dice").ci_low is not None
    assert together.summary("large ball", "dice").ci_low is None
    assert together.summary("large ball", "dice").mean == apart.summary("large ball", "dice").mean


def test_an_error_in_one_case_is_that_cases_error():
    def load(case):
        raise DataError(f"{case}: cannot be read")

    with pytest.raises(DataError, match="case_9: cannot be read"):
        evaluate(["case_9"], load, rng=rng(), workers=2)


def test_one_case_is_not_counted_twice():
    known = pairs(1)
    with pytest.raises(DataError, match="case names must differ, got 2 names of 1 cases"):
        evaluate(["case_0", "case_0"], known.__getitem__, rng=rng())


def test_no_cases_make_an_empty_report():
    report = evaluate([], pairs().__getitem__, rng=rng())
    assert report.rows == report.summaries == report.counts == ()
    assert report.mean() is None


def test_without_a_generator_the_same_intervals_are_drawn_every_time():
    known = pairs()
    assert evaluate(list(known), known.__getitem__) == evaluate(list(known), known.__getitem__)


def test_a_dataset_is_segmented_and_judged_by_its_own_patients(tmp_path):
    for number in range(3):
        scan, labels = balls(np.random.default_rng(number))
        write_volume(scan, tmp_path / "images" / f"sub-01_ses-{number}.nii.gz")
        write_labels(labels, tmp_path / "labels" / f"sub-01_ses-{number}.nii.gz")
    dataset = Dataset.open(tmp_path)
    seen = []

    def nothing(scan):
        seen.append(scan.source.files[0])
        return LabelMap(np.zeros(scan.geometry.shape, np.uint8), scan.geometry, dataset.schema)

    report = evaluate_dataset(dataset.subset(dataset.ids[:2]), nothing)
    assert report.cases == dataset.ids[:2]
    assert set(report.groups.values()) == {"sub-01"}
    assert report.mean() == 0
    assert len(seen) == 2


def test_what_each_label_was_called_is_counted_over_all_cases_and_voxels():
    lesion = with_box((2, 2, 2), (4, 4, 4), value=2, base=ORGAN)
    pairs = {"a": (labels(lesion), labels(ORGAN)), "b": (labels(EMPTY), labels(ONE_VOXEL))}
    table = evaluate(list(pairs), pairs.__getitem__, rng=rng()).confusion
    assert table.cases == 2
    assert np.sum(table.voxels) == 2 * ORGAN.size
    assert table.voxels[2] == (0, 8, 0)  # the lesion was called organ
    assert table.voxels[0][1] == 1  # what was invented in b
    assert np.sum(table.mm3) == pytest.approx(2 * ORGAN.size * 20)


def test_voxels_that_nobody_annotated_are_in_no_confusion():
    open_part = with_box((0, 0, 0), (9, 8, 2), value=9)
    pair = labels(open_part, OPEN), labels(ORGAN)
    table = evaluate(["a"], lambda _: pair, rng=rng()).confusion
    assert np.sum(table.voxels) == ORGAN.size - 9 * 8 * 2
