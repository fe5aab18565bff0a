"""Everybody reads the cases: who is missing is counted, and nothing depends on the order."""

import csv
import io

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation.raters import Agreement, FusionRules, agreement_of, read_together
from delineate.space import Geometry, Label, LabelMap, LabelSchema

RATERS = ("ann", "bob", "cat")


@pytest.fixture(scope="module")
def found(hand, cohort):
    """Six cases; bob left out two, and one was labelled by cat alone."""
    cases = cohort({name: hand() for name in (*RATERS, "net")}, cases=6)
    names = list(cases)
    del cases[names[0]]["bob"], cases[names[1]]["bob"], cases[names[1]]["ann"], cases[names[2]]["net"]
    return cases


@pytest.fixture(scope="module")
def agreement(found):
    return agreement_of(read_together(list(found), found.__getitem__, RATERS, model="net"), title="six")


def test_who_is_missing_is_left_out_there_and_counted(agreement, found):
    names = list(found)
    assert agreement.absent == {
        "ann": (names[1],), "bob": tuple(names[:2]), "cat": (), "net": (names[2],),
    }  # fmt: skip
    assert agreement.skipped == (names[1],)
    assert list(agreement.groups) == [names[0], *names[2:]]
    assert agreement.cell("lesion", "dice", "ann", "cat").n == 5
    assert agreement.cell("lesion", "dice", "ann", "bob").n == 4
    assert agreement.people[0].dice.n == 5
    text = agreement.to_markdown()
    assert "bob did not label 2 cases (case_00, case_01)." in text
    assert "net did not label 1 cases (case_02). A model that leaves out hard cases looks better." in text
    assert "1 cases were labelled by fewer than two raters and left out: case_01." in text


def test_the_order_of_raters_changes_nothing_but_signs(agreement, found):
    turned = agreement_of(read_together(list(found), found.__getitem__, RATERS[::-1], model="net"))
    assert turned.people[0].dice.mean == pytest.approx(agreement.people[0].dice.mean)
    assert turned.standings[0].difference.mean == pytest.approx(agreement.standings[0].difference.mean)
    for value in ("dice", "hd95_mm", "volume_bias", "offset_mm", "kappa"):
        for one, other in (("ann", "bob"), ("cat", "ann"), ("net", "bob")):
            here = agreement.cell("lesion", value, one, other)
            there = turned.cell("lesion", value, one, other)
            assert there.mean == pytest.approx(here.mean)
            # the draws are the same, but BCa is not the same from both sides
            assert there.low == pytest.approx(here.low, abs=0.02 if value == "dice" else 0.3)
    for reader in agreement.readers:
        same = next(r for r in turned.readers if r.reader == reader.reader)
        assert same.sensitivity.mean == pytest.approx(reader.sensitivity.mean, abs=1e-5)


def test_threads_change_nothing(agreement, found):
    readings = read_together(list(found), found.__getitem__, RATERS, model="net", workers=3)
    assert agreement_of(readings, title="six") == agreement


def test_an_agreement_survives_its_file(agreement):
    assert Agreement.from_json(agreement.to_json(), where="agreement.json") == agreement


def test_patients_not_scans_make_the_interval(found):
    readings = read_together(list(found), found.__getitem__, RATERS)
    one_each = agreement_of(readings)
    of_two = agreement_of(readings, groups={case: str(n % 2) for n, case in enumerate(found)})
    assert of_two.people[0].dice.patients == 2
    assert of_two.people[0].dice.mean == one_each.people[0].dice.mean
    alone = agreement_of(readings, groups=dict.fromkeys(found, "p"))
    assert alone.people[0].dice.low is None


def test_a_case_with_more_raters_counts_once():
    """Two raters of the first case differ wholly, three of the second agree: the mean is one half."""
    schema, grid = LabelSchema.of("lesion"), Geometry((4, 4, 4), np.eye(4))
    low, high = np.zeros((2, 4, 4, 4), np.uint8)
    low[:2], high[2:] = 1, 1
    cases = {
        "a": {"ann": LabelMap(low, grid, schema), "bob": LabelMap(high, grid, schema)},
        "b": {name: LabelMap(low, grid, schema) for name in RATERS},
    }
    agreement = agreement_of(read_together(list(cases), cases.__getitem__, RATERS))
    assert agreement.people[0].dice.mean == 0.5


def test_a_copy_is_noticed(hand, cohort):
    cases = cohort({name: hand() for name in RATERS}, cases=3)
    for maps in cases.values():
        maps["bob"] = maps["ann"]
    agreement = agreement_of(read_together(list(cases), cases.__getitem__, RATERS))
    assert agreement.alike == (("ann", "bob"),)
    assert "ann and bob drew exactly the same: is one of them a copy?" in agreement.warnings


def test_two_raters_and_tiny_structures_are_warned_of():
    schema, grid = LabelSchema.of("lesion"), Geometry((6, 6, 6), np.eye(4))
    tiny = np.zeros((6, 6, 6), np.uint8)
    tiny[1, 1, 1] = 1
    cases = {"a": {name: LabelMap(tiny, grid, schema) for name in ("ann", "bob")}}
    warnings = agreement_of(read_together(["a"], cases.__getitem__, ("ann", "bob"))).warnings
    assert any(text.startswith("2 raters: who of them is right cannot be told") for text in warnings)
    assert any("lesion: fewer than 100 voxels; STAPLE is not to be trusted" in text for text in warnings)
    majority = read_together(["a"], cases.__getitem__, ("ann", "bob"), rules=FusionRules(method="majority"))
    assert not any("STAPLE" in text for text in agreement_of(majority).warnings)


def test_a_structure_that_nobody_drew_is_empty_everywhere_and_breaks_nothing():
    schema = LabelSchema(labels=(Label(value=1, name="there"), Label(value=2, name="nowhere")))
    drawn, grid = np.zeros((5, 5, 5), np.uint8), Geometry((5, 5, 5), np.eye(4))
    drawn[1:4, 1:4, 1:4] = 1
    cases = {str(n): {name: LabelMap(drawn, grid, schema) for name in (*RATERS, "net")} for n in range(3)}
    agreement = agreement_of(read_together(list(cases), cases.__getitem__, RATERS, model="net"))
    nowhere = agreement.people[1]
    assert (nowhere.dice.mean, nowhere.dice.n, nowhere.empty, nowhere.voxels) == (None, 0, 3, None)
    assert agreement.standings[1].verdict == "NOT PROVEN"
    assert "| nowhere | 0 | - | - | - | - |" in agreement.to_markdown()


def test_pictures_are_read_too():
    schema, grid = LabelSchema.of("cell"), Geometry.of_image((12, 10))
    drawn = np.zeros((12, 10, 1), np.uint8)
    drawn[3:8, 2:7] = 1
    cases = {
        str(n): {"ann": LabelMap(drawn, grid, schema), "bob": LabelMap(np.roll(drawn, n, 0), grid, schema)}
        for n in range(3)
    }
    agreement = agreement_of(read_together(list(cases), cases.__getitem__, ("ann", "bob")))
    assert agreement.people[0].dice.mean == pytest.approx((1 + 0.8 + 0.6) / 3)


def test_rows_go_into_tables_with_empty_fields_where_nothing_is(found):
    readings = read_together(list(found), found.__getitem__, RATERS, model="net")
    pairs = list(csv.DictReader(io.StringIO(readings.pairs_csv())))
    assert len(pairs) == 3 + 3 + 3 * 6  # (ann, cat, net), without net, and all four
    assert float(pairs[0]["dice"]) > 0.5
    rows = list(csv.DictReader(io.StringIO(readings.readings_csv())))
    assert {row["reader"] for row in rows} == {*RATERS, "net"}
    assert all(row["dice_of_others"] == "" for row in rows if row["reader"] == "net")


def test_progress_is_told_case_by_case(found):
    told = []
    read_together(list(found), found.__getitem__, RATERS, progress=lambda *step: told.append(step))
    assert told == [(n, 6, case) for n, case in enumerate(found, 1)]


@pytest.mark.parametrize(
    ("raters", "model"), [(("ann",), None), (("ann", "ann"), None), ((), None), (("ann", "bob"), "bob")]
)
def test_agreement_is_between_two_people_with_names_of_their_own(found, raters, model):
    with pytest.raises(DataError, match="between two raters at least, each with a name of their own"):
        read_together(list(found), found.__getitem__, raters, model=model)


def test_raters_who_share_no_case_are_refused(found):
    alone = {case: {"cat": maps["cat"]} for case, maps in found.items()}
    with pytest.raises(DataError, match="no case was labelled by two raters: ann, bob, cat share none of 6"):
        read_together(list(alone), alone.__getitem__, RATERS)


def test_a_pair_that_is_not_there_is_said(agreement):
    with pytest.raises(DataError, match="no dice of ann and eve in 'lesion'; structures are lesion"):
        agreement.cell("lesion", "dice", "ann", "eve")
