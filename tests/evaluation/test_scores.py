import csv
import io
import json

import numpy as np
import pytest
from scipy import stats

from delineate.errors import DataError, RecordError
from delineate.evaluation import Report, Row, Rules, read_report, write_report
from delineate.evaluation.scores import report_of

RULES = Rules(metrics=("dice", "hd95"))
# case -> dice, hd95, ml in the reference, ml in the prediction
ORGAN = {
    "a": (0.9, 1.0, 10, 9),
    "b": (0.8, 2.0, 10, 12),
    "c": (0.7, 6.0, 10, 10),
    "d": (0.0, None, 10, 0),  # missed
    "e": (None, None, 0, 0),  # none there
    "f": (0.0, None, 0, 3),  # invented
}
CYST = {
    "a": (0.5, 9.0, 1, 1),
    "b": (None, None, 0, 0),
    "c": (None, None, 0, 0),
    "d": (0.7, 3.0, 1, 2),
    "e": (None, None, 0, 0),
    "f": (None, None, 0, 0),
}


def rows(edge=False):
    found = []
    for structure, values in (("organ", ORGAN), ("cyst", CYST)):
        for case, numbers in values.items():
            for measure, value in zip(RULES.measures, numbers, strict=True):
                cut = edge and case == "a" and measure.name == "volume_reference"
                found.append(
                    Row(
                        case=case,
                        structure=structure,
                        metric=measure.name,
                        definition=RULES.definition(measure),
                        value=value,
                        unit=measure.unit,
                        note="cut off by the edge of the scan" if cut else None,
                    )
                )
    return found


def make(rules=RULES, edge=False):
    groups = {case: case for case in ORGAN}
    return report_of(rows(edge), title="Fold 0", rules=rules, groups=groups, rng=np.random.default_rng(0))


@pytest.fixture
def report():
    return make()


def test_missing_is_not_zero_and_is_counted(report):
    dice = report.summary("organ", "dice")
    assert (dice.n, dice.missing) == (5, 1)
    assert dice.mean == pytest.approx((0.9 + 0.8 + 0.7 + 0 + 0) / 5)
    hd95 = report.summary("organ", "hd95")
    assert (hd95.n, hd95.missing) == (3, 3)
    assert hd95.mean == pytest.approx(3.0)


def test_a_summary_is_that_of_numpy(report):
    values = [0.9, 0.8, 0.7, 0, 0]
    found = report.summary("organ", "dice")
    assert found.sd == pytest.approx(np.std(values, ddof=1))
    assert [found.low, found.q1, found.median, found.q3, found.high] == pytest.approx(
        np.quantile(values, [0, 0.25, 0.5, 0.75, 1])
    )
    assert found.low <= found.ci_low < found.mean < found.ci_high <= found.high


def test_intervals_are_found_in_the_way_that_the_rules_name():
    found = {name: make(RULES.but(interval=name)) for name in ("bca_expanded", "bca", "percentile", "t")}
    widths = {name: r.summary("organ", "dice") for name, r in found.items()}
    assert len({(s.ci_low, s.ci_high) for s in widths.values()}) == 4
    assert len({(r.overall[0].ci_low, r.overall[0].ci_high) for r in found.values()}) == 4
    values = [0.9, 0.8, 0.7, 0, 0]
    peer = stats.ttest_1samp(values, 0).confidence_interval()
    assert (widths["t"].ci_low, widths["t"].ci_high) == pytest.approx(tuple(peer))
    assert "95 % interval, Student's t over patients]" in found["t"].to_markdown()
    assert "BCa bootstrap over patients, widened for few" in make().to_markdown()


def test_the_median_has_its_interval_too(report):
    dice = report.summary("organ", "dice")
    assert 0 <= dice.median_ci_low < dice.median <= dice.median_ci_high <= 0.9


def test_what_is_missed_and_what_is_invented_is_counted(report):
    organ, cyst = report.counts
    assert (organ.cases, organ.empty_reference) == (6, 2)
    assert (organ.missed, organ.false_positive_on_empty) == (1, 1)
    assert (cyst.empty_reference, cyst.missed, cyst.false_positive_on_empty) == (4, 0, 0)


def test_the_overall_mean_is_over_structures_of_their_means_over_cases(report):
    assert report.mean() == pytest.approx((0.48 + 0.6) / 2)
    overall = report.overall[0]
    assert (overall.metric, overall.structures) == ("dice", 2)
    assert overall.ci_low < overall.mean < overall.ci_high
    assert report.mean("nsd") is None


def test_cases_are_ranked_from_the_worst_by_any_metric(report):
    assert report.ranked() == ("f", "d", "a", "c", "b")
    assert report.ranked("hd95") == ("c", "a", "d", "b")
    assert report.case_means()["a"] == pytest.approx(0.7)
    assert report.case_means()["e"] is None


def test_values_are_found_by_structure_and_metric(report):
    assert report.values("cyst", "dice")["d"] == 0.7
    assert report.values("cyst", "dice")["b"] is None
    with pytest.raises(DataError, match=r"no 'nsd' of 'cyst'; its structures are organ, cyst .* dice, hd95"):
        report.values("cyst", "nsd")


def test_what_holds_for_many_structures_is_said_once():
    one = [row for row in rows() if row.structure == "cyst"]
    ribs = [row.but(structure=f"rib {n}") for n in range(9) for row in one]
    groups = {case: case for case in CYST}
    found = report_of(ribs, title="t", rules=RULES, groups=groups, rng=np.random.default_rng(0))
    (few,) = [warning for warning in found.warnings if "too few to rely on" in warning]
    assert few.startswith("rib 0, rib 1, rib 2, rib 3, rib 4, rib 5 and 3 more: only 2 cases have it")


def test_warnings_say_what_keeps_the_numbers_from_being_trusted():
    warnings = "\n".join(make(edge=True).warnings)
    assert "6 patients: intervals are wide" in warnings
    assert "cyst: only 2 cases have it" in warnings
    assert "organ: nothing was predicted in 1 of 4 cases" in warnings
    assert "mean distances look better than they are" in warnings
    assert "organ: predicted in 1 of 2 cases that have none" in warnings
    assert "organ, cyst: cut off by the edge of the scan in 1 cases" in warnings
    assert "the diagonal of the grid" in "\n".join(make(RULES.but(missed="diagonal")).warnings)


def test_a_report_read_back_is_the_same(report, tmp_path):
    write_report(report, tmp_path / "out")
    assert Report.load(tmp_path / "out" / "report.json") == report
    assert (tmp_path / "out" / "scores.csv").read_text() == report.to_csv()
    assert (tmp_path / "out" / "summary.md").read_text().startswith("# Fold 0\n\n| structure |")


def test_an_edited_report_that_does_not_fit_is_refused(report):
    tree = json.loads(report.to_json())
    tree["rows"][3]["value"] = "good"
    with pytest.raises(RecordError, match=r"rows\[3\].value: .*got 'good'"):
        Report.from_json(json.dumps(tree), where="report.json")


def test_the_table_of_rows_has_every_value_and_empty_fields_for_missing_ones(report):
    lines = list(csv.DictReader(io.StringIO(report.to_csv())))
    assert len(lines) == len(report.rows) == 2 * 6 * 4
    assert lines[0] == {
        "case": "a",
        "patient": "a",
        "structure": "organ",
        "metric": "dice",
        "definition": "2 TP / (2 TP + FP + FN) in voxels",
        "value": "0.9",
        "unit": "1",
        "note": "",
    }
    missing = [line for line in lines if line["value"] == ""]
    assert len(missing) == sum(row.value is None for row in report.rows)


def test_the_markdown_table_gives_counts_means_and_definitions(report):
    text = report.to_markdown()
    assert "| organ | 6 | 4 | 1 | 1 | 0.480 [" in text
    assert "], n = 5 | 3.000 [" in text
    assert "| **mean of structures** | 6 |" in text
    assert "- HD95: larger of the two directed 95th percentiles between border voxels" in text
    assert "NSD" not in text  # was not measured
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_a_structure_without_any_value_is_missing_in_the_table():
    empty = [
        Row(case="a", structure="organ", metric=m.name, definition="", value=v, unit=m.unit)
        for m, v in zip(RULES.measures, (None, None, 0.0, 0.0), strict=True)
    ]
    report = report_of(empty, title="t", rules=RULES, groups={"a": "a"}, rng=np.random.default_rng(0))
    assert "| organ | 1 | 0 | 0 | 0 | missing | missing |" in report.to_markdown()
    assert report.mean() is None
    assert report.ranked() == ()


def test_one_case_has_a_mean_but_no_interval():
    one = [row for row in rows() if row.case == "a"]
    report = report_of(one, title="t", rules=RULES, groups={"a": "a"}, rng=np.random.default_rng(0))
    found = report.summary("organ", "dice")
    assert (found.mean, found.sd, found.ci_low) == (0.9, None, None)
    assert "| 0.900 |" in report.to_markdown()


def test_a_report_is_found_in_its_folder_in_a_run_and_by_its_own_name(report, tmp_path):
    write_report(report, tmp_path / "run" / "evaluation")
    for place in ("run", "run/evaluation", "run/evaluation/report.json"):
        assert read_report(tmp_path / place) == report
    with pytest.raises(DataError, match=r"holds no report\. Expected report.json, or a folder with one"):
        read_report(tmp_path)
