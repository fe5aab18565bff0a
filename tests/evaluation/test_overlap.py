import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.errors import DataError, GeometryError
from delineate.evaluation import MEASURES, Confusion, ConfusionTable
from delineate.space import Geometry, Label, LabelMap, LabelSchema

SHAPE = (4, 3, 5)
masks = hnp.arrays(bool, SHAPE)
full, none = np.ones(SHAPE, bool), np.zeros(SHAPE, bool)
one = none.copy()
one[2, 1, 3] = True


@given(masks, masks, masks)
@settings(max_examples=100, deadline=None)
def test_the_counts_are_those_of_going_through_voxel_by_voxel(reference, prediction, known):
    counts = Confusion.of(reference, prediction, known)
    table = {(True, True): 0, (False, True): 0, (True, False): 0, (False, False): 0}
    for r, p, k in zip(reference.ravel(), prediction.ravel(), known.ravel(), strict=True):
        table[bool(r), bool(p)] += bool(k)
    assert list(table.values()) == [
        counts.true_positive,
        counts.false_positive,
        counts.false_negative,
        counts.true_negative,
    ]


@given(masks, masks)
@settings(max_examples=100, deadline=None)
def test_dice_follows_from_iou_and_is_the_harmonic_mean_of_precision_and_recall(reference, prediction):
    counts = Confusion.of(reference, prediction)
    dice, iou = counts.dice(), counts.iou()
    if dice is None:
        assert iou is None
        assert not reference.any()
        assert not prediction.any()
        return
    assert dice == pytest.approx(2 * iou / (1 + iou))
    precision, recall = counts.precision(), counts.recall()
    if precision and recall:
        assert dice == pytest.approx(2 / (1 / precision + 1 / recall))


@given(masks, masks)
@settings(max_examples=50, deadline=None)
def test_swapping_the_masks_swaps_precision_and_recall_only(a, b):
    here, there = Confusion.of(a, b), Confusion.of(b, a)
    assert here.dice() == there.dice()
    assert here.iou() == there.iou()
    assert here.accuracy() == there.accuracy()
    assert here.precision() == there.recall()


@given(masks, masks, st.integers(0, 2))
@settings(max_examples=50, deadline=None)
def test_turning_both_masks_changes_nothing(a, b, axis):
    assert Confusion.of(a, b) == Confusion.of(np.flip(a, axis), np.flip(b, axis))


@pytest.mark.parametrize(
    ("reference", "prediction", "policy", "dice"),
    [
        (none, none, "missing", None),
        (none, none, "one", 1.0),
        (none, none, "reference", None),
        (none, one, "missing", 0.0),
        (none, one, "one", 0.0),
        (none, one, "reference", None),
        (one, none, "missing", 0.0),
        (one, none, "one", 0.0),
        (one, none, "reference", 0.0),
        (one, one, "missing", 1.0),
        (full, full, "reference", 1.0),
    ],
)
def test_what_overlap_is_where_nothing_is_to_be_found_is_the_callers_choice(
    reference, prediction, policy, dice
):
    counts = Confusion.of(reference, prediction)
    assert counts.dice(policy) == dice
    assert counts.iou(policy) == dice


def test_a_ratio_without_a_denominator_is_missing_and_not_zero():
    assert Confusion.of(one, none).precision() is None
    assert Confusion.of(one, none).recall() == 0
    assert Confusion.of(none, one).recall() is None
    assert Confusion.of(none, one).precision() == 0
    assert Confusion.of(full, full).specificity() is None
    assert Confusion.of(none, none).specificity() == 1
    assert Confusion.of(none, none).accuracy() == 1
    assert Confusion.of(full, full, none).accuracy() is None


def test_voxels_outside_a_crop_are_background_in_both():
    whole = Confusion.of(one, full)
    assert Confusion.of(one, one).among(1000).true_negative == 999
    assert whole.among(60) == whole


def test_masks_of_other_shapes_are_refused():
    with pytest.raises(
        GeometryError, match=r"masks of one grid have one shape, got \(4, 3, 5\) and \(3, 3, 5\)"
    ):
        Confusion.of(full, full[:3])


@given(masks, masks)
@settings(max_examples=60, deadline=None)
def test_confusion_agrees_with_the_sums_that_scikit_learn_makes(reference, prediction):
    """Its formulas, written out: scikit-learn itself ran for the golden numbers below."""
    counts = Confusion.of(reference, prediction)
    y, p = reference.ravel().astype(int), prediction.ravel().astype(int)
    matrix = np.bincount(2 * y + p, minlength=4).reshape(2, 2)
    assert matrix.ravel().tolist() == [
        counts.true_negative,
        counts.false_positive,
        counts.false_negative,
        counts.true_positive,
    ]
    if y.sum() + p.sum():
        assert counts.dice() == 2 * (y * p).sum() / (y.sum() + p.sum())
        assert counts.iou() == (y * p).sum() / np.maximum(y, p).sum()
    assert counts.accuracy() == (y == p).mean()


HERE = Path(__file__).parent / "golden"
GOLDEN = json.loads((HERE / "overlap.json").read_text())
MADE = runpy.run_path(str(HERE / "overlap.py"))


@pytest.mark.parametrize("case", GOLDEN["masks"], ids=lambda case: f"seed {case['seed']}")
def test_overlap_is_exactly_that_of_scikit_learn(case):
    reference, prediction = MADE["masks_of"](case["seed"])
    counts = Confusion.of(reference, prediction)
    assert counts.dice() == case["f1"]
    assert counts.iou() == case["jaccard"]
    assert counts.precision() == case["precision"]
    assert counts.recall() == case["recall"]
    assert counts.specificity() == case["specificity"]
    assert counts.accuracy() == case["accuracy"]


@pytest.mark.parametrize("case", GOLDEN["maps"], ids=lambda case: f"seed {case['seed']}")
def test_the_table_of_labels_is_exactly_that_of_scikit_learn(case):
    reference, prediction = MADE["maps_of"](case["seed"])
    schema = LabelSchema.of("a", "b", "c")
    grid = Geometry((9, 8, 7), np.eye(4))
    table = ConfusionTable.of(LabelMap(reference, grid, schema), LabelMap(prediction, grid, schema))
    assert [list(row) for row in table.voxels] == case["confusion_matrix"]
    assert np.array_equal(table.shares, case["row_shares"])


def test_accuracy_of_a_small_structure_is_high_even_where_nothing_of_it_was_found():
    missed = Confusion(true_positive=0, false_positive=100, false_negative=100, true_negative=99_800)
    assert missed.accuracy() == 0.998
    assert missed.specificity() > 0.998
    assert missed.dice() == 0
    for name in ("accuracy", "specificity"):
        assert "near 1 by construction" in MEASURES[name].definition


# --- all labels at once

SCHEMA = LabelSchema(
    labels=(Label(value=7, name="liver"), Label(value=2, name="spleen"), Label(value=9, name="cyst")),
    ignore=255,
)


def on_grid(array):
    return LabelMap(array, Geometry(array.shape, np.diag([10.0, 10.0, 10.0, 1.0])), SCHEMA)


@given(*[hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 2, 7, 9, 255]))] * 2)
@settings(max_examples=60, deadline=None)
def test_the_table_counts_every_known_voxel_once(reference, prediction):
    table = ConfusionTable.of(on_grid(reference), on_grid(prediction))
    assert table.names == ("background", "liver", "spleen", "cyst")
    for row, value in enumerate((0, 7, 2, 9)):
        for column, called in enumerate((0, 7, 2, 9)):
            assert table.voxels[row][column] == ((reference == value) & (prediction == called)).sum()
    assert np.allclose(np.array(table.mm3), 1000 * np.array(table.voxels))  # voxels of 1 ml


def test_the_rows_of_the_table_are_shares_and_missing_where_a_label_is():
    reference = np.array([7, 7, 7, 7, 0, 2]).reshape(6, 1, 1)
    prediction = np.array([7, 7, 7, 2, 0, 2]).reshape(6, 1, 1)
    shares = ConfusionTable.of(on_grid(reference), on_grid(prediction)).shares
    assert shares[1] == pytest.approx([0, 0.75, 0.25, 0])
    assert np.isnan(shares[3]).all()


def test_a_table_of_two_grids_is_refused():
    with pytest.raises(GeometryError, match=r"reference and prediction are on different grids: .*3 x 1 x 1"):
        ConfusionTable.of(on_grid(np.zeros((3, 1, 1), int)), on_grid(np.zeros((4, 1, 1), int)))


def test_a_table_of_many_cases_adds_up_volumes_and_not_only_voxels():
    small, large = (
        ConfusionTable.of(
            LabelMap(np.array([[[1, 1, 2, 2]]]), grid, schema),
            LabelMap(np.array([[[1, 1, 1, 2]]]), grid, schema),
        )
        for schema in (LabelSchema.of("a", "b"),)
        for grid in (Geometry((1, 1, 4), np.eye(4)), Geometry((1, 1, 4), np.diag([3.0, 1.0, 1.0, 1.0])))
    )
    one = LabelMap(np.array([[[2, 2, 2, 2]]]), Geometry((1, 1, 4), np.eye(4)), LabelSchema.of("a", "b"))
    total = ConfusionTable.total([small, large, ConfusionTable.of(one, one)])
    assert total.cases == 3
    assert total.voxels == ((0, 0, 0), (0, 4, 0), (0, 2, 6))
    assert total.mm3 == ((0, 0, 0), (0, 8, 0), (0, 4, 8))
    assert total.shares[2].tolist() == [0, 1 / 3, 2 / 3]
    assert ConfusionTable.from_json(total.to_json(), where="here") == total
    assert "| b |  | 0.333 | 0.667 | 0.012 |" in total.to_markdown().replace("| b | 0.000 |", "| b |  |")


def test_tables_of_other_labels_are_not_added_up():
    grid = Geometry((1, 1, 2), np.eye(4))
    tables = [
        ConfusionTable.of(labels, labels)
        for labels in (LabelMap(np.array([[[0, 1]]]), grid, LabelSchema.of(name)) for name in ("a", "b"))
    ]
    with pytest.raises(DataError, match="the same labels, got background, a and background, b"):
        ConfusionTable.total(tables)
    with pytest.raises(DataError, match="the same labels, got none"):
        ConfusionTable.total([])


def test_labels_are_matched_by_name_whatever_their_values():
    grid = Geometry((1, 1, 3), np.eye(4))
    mine = LabelMap(np.array([[[0, 1, 2]]]), grid, LabelSchema.of("liver", "spleen"))
    theirs = LabelMap(np.array([[[0, 2, 1]]]), grid, LabelSchema.of("spleen", "liver"))
    assert ConfusionTable.of(mine, theirs).voxels == ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def test_a_predicted_label_that_the_reference_does_not_know_is_refused_where_it_occurs():
    grid = Geometry((1, 1, 3), np.eye(4))
    known = LabelMap(np.array([[[0, 1, 1]]]), grid, LabelSchema.of("liver"))
    more = LabelSchema.of("liver", "spleen")
    assert ConfusionTable.of(known, LabelMap(np.array([[[0, 1, 1]]]), grid, more)).voxels == ((1, 0), (0, 2))
    with pytest.raises(DataError, match=r"values \[2\]; the reference knows liver"):
        ConfusionTable.of(known, LabelMap(np.array([[[0, 1, 2]]]), grid, more))
