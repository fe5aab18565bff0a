"""Instance report: means of cases, pools of objects, intervals, scores, and files."""

import csv
import io

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation import InstanceMap, InstanceReport, InstanceRules, evaluate_instances


@pytest.fixture
def cells(instance_map):
    """A function that makes a map of single cells: ids at places in a row."""

    def make(numbers, **known):
        array = np.zeros((1, 40), int)
        for place, number in enumerate(numbers):
            array[0, 2 * place] = number
        return instance_map(array, **known)

    return make


@pytest.fixture
def report(cells):
    """Two of two found, one of ten found with one invented, none of none."""
    pairs = {
        "few": (cells([1, 2]), cells([7, 9])),
        "many": (cells(range(1, 11)), cells([3, *[0] * 9, 4])),
        "none": (cells([]), cells([])),
    }
    return evaluate_instances(list(pairs), pairs.__getitem__, groups={"none": "few"})


def test_a_case_with_many_objects_weighs_more_in_the_pool(report):
    dq = report.summary("dq")
    assert dq.mean.value == pytest.approx((1 + 1 / (1 + 9 / 2 + 1 / 2)) / 2)
    assert dq.pooled.value == pytest.approx(3 / (3 + 9 / 2 + 1 / 2))
    assert (dq.n, dq.missing) == (2, 1)
    assert report.values("dq") == {"few": 1, "many": pytest.approx(1 / 6), "none": None}


def test_the_interval_holds_what_was_measured(report):
    for metric in ("dq", "pq", "aji", "ap"):
        for bounded in (report.summary(metric).mean, report.summary(metric).pooled):
            assert bounded.low <= bounded.value <= bounded.high


def test_counts_add_up(report):
    counts = report.counts[0]
    assert (counts.cases, counts.reference, counts.prediction) == (3, 12, 4)
    assert (counts.found, counts.missed, counts.invented) == (3, 9, 1)
    assert report.summary("instances_missed").pooled.value is None


@pytest.mark.parametrize(
    ("policy", "values"),
    [("missing", [None, 0, 0]), ("one", [1, 0, 0]), ("reference", [None, None, 0])],
)
def test_where_a_map_is_empty_the_rules_say_what_that_is(cells, policy, values):
    pairs = {
        "both": (cells([]), cells([])),
        "reference": (cells([]), cells([1])),
        "prediction": (cells([1]), cells([])),
    }
    rules = InstanceRules(empty=policy)
    report = evaluate_instances(list(pairs), pairs.__getitem__, rules=rules)
    for metric in ("pq", "dq", "aji", "aji_plus", "f1@0.5", "ap"):
        assert list(report.values(metric).values()) == values
    notes = {row.case: row.note for row in report.rows if row.metric == "pq" and row.value is None}
    assert notes.get("both", "both empty") == "both empty"
    assert notes.get("reference", "reference empty") == "reference empty"


def test_quality_of_none_found_is_missing_and_says_so(cells):
    pair = cells([1, 0]), cells([0, 1])
    report = evaluate_instances(["a"], lambda _: pair)
    assert report.values("sq") == {"a": None}
    assert next(row.note for row in report.rows if row.metric == "sq") == "no partners"
    assert report.values("pq") == {"a": 0}


def test_one_patient_has_no_interval(cells):
    pair = cells([1, 2]), cells([1])
    report = evaluate_instances(["a", "b"], lambda _: pair, groups={"a": "x", "b": "x"})
    assert report.summary("pq").mean.low is None
    assert report.summary("pq").pooled.high is None


def test_kinds_have_rows_of_their_own(cells):
    kinds = {1: "stroma", 2: "tumour"}
    pair = cells([1, 2], kinds=kinds), cells([2, 1], kinds=kinds)
    report = evaluate_instances(["a"], lambda _: pair)
    assert report.structures == ("all objects", "stroma", "tumour")
    assert report.values("pq") == {"a": 1}
    assert report.values("pq", "tumour") == {"a": 0}
    assert [counts.reference for counts in report.counts] == [2, 1, 1]


def test_kinds_in_some_cases_only_are_refused(cells):
    kinds = {1: "stroma"}
    pairs = {"a": (cells([1], kinds=kinds), cells([1], kinds=kinds)), "b": (cells([1]), cells([1]))}
    with pytest.raises(DataError, match="b: its objects have no kinds, those of other cases have"):
        evaluate_instances(list(pairs), pairs.__getitem__)
    pairs["b"] = cells([]), cells([])
    assert evaluate_instances(list(pairs), pairs.__getitem__).values("pq", "stroma") == {"a": 1, "b": None}


def test_scores_rank_the_objects_of_all_cases_together(cells):
    """By hand: right, wrong, right; half of what there is to find is never proposed."""
    pairs = {
        "a": (cells([1, 2]), cells([5, 0, 6], scores={5: 0.9, 6: 0.5})),
        "b": (cells([1, 2]), cells([8], scores={8: 0.3})),
    }
    steps = evaluate_instances(list(pairs), pairs.__getitem__, rules=InstanceRules(area="steps"))
    expected = 1 / 4 * 1 + 1 / 4 * 2 / 3
    assert steps.summary("ap_ranked@0.5").pooled.value == pytest.approx(expected)
    assert steps.summary("ap_ranked").pooled.value == pytest.approx(expected)
    coco = evaluate_instances(list(pairs), pairs.__getitem__)
    assert coco.summary("ap_ranked@0.75").pooled.value == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert "mean AP of scores" in coco.to_markdown()
    assert steps.values("ap_ranked") == {}


def test_without_scores_there_is_no_order(cells):
    pairs = {"a": (cells([1]), cells([5], scores={5: 0.9})), "b": (cells([1]), cells([8]))}
    report = evaluate_instances(list(pairs), pairs.__getitem__)
    assert "ap_ranked" not in report.metrics


def test_the_report_lives_in_files(report):
    again = InstanceReport.from_json(report.to_json(), where="report.json")
    assert again == report
    rows = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert len(rows) == len(report.rows)
    assert rows[0]["patient"] == "few"
    assert {row["value"] for row in rows if row["case"] == "none" and row["metric"] == "pq"} == {""}
    text = report.to_markdown()
    assert "| all objects | 3 | 12 | 4 | 3 | 9 | 1 | 0 | 0 |" in text
    assert "| all objects | DQ | 0.583 [" in text
    assert ", n = 2 |" in text


def test_the_same_report_twice_whatever_the_threads(report, cells):
    pairs = {f"{n}": (cells([1, 2, 3]), cells([1, 2, 3][: n % 4])) for n in range(12)}
    seen = []
    one = evaluate_instances(list(pairs), pairs.__getitem__)
    other = evaluate_instances(
        list(pairs),
        pairs.__getitem__,
        workers=3,
        progress=lambda done, total, what: seen.append((done, what)),
    )
    assert one == other
    assert seen == [(n + 1, f"{n}") for n in range(12)]


def test_what_is_not_in_the_report_is_refused_by_name(report):
    with pytest.raises(DataError, match="no 'pq' of 'nuclei'; its structures are all objects"):
        report.summary("pq", "nuclei")


@pytest.mark.parametrize("cases", [[], ["a", "a"]])
def test_cases_without_names_of_their_own_are_refused(cases, report):
    with pytest.raises(DataError, match="expected cases with different names"):
        evaluate_instances(cases, lambda _: None)


def test_real_nuclei_of_some_pictures(nuclei, thinned):
    def load(name):
        found = nuclei[name]
        return found, InstanceMap(thinned(found.array[..., 0])[..., None], found.geometry)

    report = evaluate_instances(list(nuclei), load)
    total = sum(len(found.ids) for found in nuclei.values())
    assert report.counts[0].reference == total
    aji = report.summary("aji").pooled.value
    voxels = [np.count_nonzero(found.array) for found in nuclei.values()]
    thin = [np.count_nonzero(thinned(found.array[..., 0])) for found in nuclei.values()]
    assert aji == pytest.approx(sum(thin) / sum(voxels))
