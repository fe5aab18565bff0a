import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.evaluation import LITERATURE, Criterion, Gate, Verdict, judge, read_gate

SOURCE = "our protocol"


def values_with(mean, sd, n):
    """n numbers with exactly this mean and standard deviation."""
    ramp = np.linspace(-1, 1, n)
    return list(mean + ramp / ramp.std(ddof=1) * sd)


def gate_of(**fields):
    asked = {"structure": "liver", "threshold": 0.9, "source": SOURCE, "patients": 2} | fields
    return Gate(name="ours", criteria=(Criterion(**asked),))


def only(verdict):
    (judgement,) = verdict.judgements
    return judgement


# --- the verdict


def test_more_cases_with_the_same_mean_turn_unproven_into_pass(made_report):
    few = judge(made_report({"liver": {"dice": values_with(0.955, 0.02, 10)}}), LITERATURE)
    many = judge(made_report({"liver": {"dice": values_with(0.955, 0.02, 200)}}), LITERATURE)
    assert only_liver(few).found.mean == pytest.approx(only_liver(many).found.mean)
    assert (few.outcome, many.outcome) == ("UNPROVEN", "PASS")


def only_liver(verdict):
    return next(j for j in verdict.judgements if j.structure == "liver")


def test_it_is_the_interval_that_decides_and_not_only_the_fewest_patients(made_report):
    outcomes = [
        judge(made_report({"liver": {"dice": values_with(0.955, 0.05, n)}}), LITERATURE).outcome
        for n in (40, 4000)
    ]
    assert outcomes == ["UNPROVEN", "PASS"]


def test_fewer_patients_than_asked_for_prove_nothing_good(made_report):
    report = made_report({"liver": {"dice": values_with(0.99, 0.001, 12)}})
    judgement = only_liver(judge(report, LITERATURE))
    assert judgement.outcome == "UNPROVEN"
    assert judgement.why == "12 of the 30 patients that are asked for"
    assert judgement.more_cases == 18


def test_scans_of_one_patient_are_not_patients(made_report):
    values = values_with(0.955, 0.02, 200)
    report = made_report({"liver": {"dice": values}}, patients=[f"p{n % 20}" for n in range(200)])
    judgement = only_liver(judge(report, LITERATURE))
    assert (judgement.n, judgement.patients, judgement.outcome) == (200, 20, "UNPROVEN")


def test_an_interval_wholly_on_the_wrong_side_fails_even_with_few_patients(made_report):
    report = made_report({"liver": {"dice": values_with(0.5, 0.02, 4)}})
    judgement = only_liver(judge(report, LITERATURE))
    assert judgement.outcome == "FAIL"
    assert judgement.more_cases is None


def test_what_is_unproven_says_about_how_many_patients_would_prove_it(made_report):
    report = made_report({"liver": {"dice": values_with(0.93, 0.15, 40)}})
    verdict = judge(report, gate_of())
    judgement = only(verdict)
    assert judgement.why == "the mean is on the right side, the 95 % interval reaches across"
    assert 40 + judgement.more_cases == pytest.approx((1.96 * 0.15 / 0.03) ** 2, rel=0.05)
    assert judgement.likely > judgement.more_cases
    assert f"about {judgement.more_cases} more patients like these would prove it, " in verdict.to_markdown()
    again = made_report({"liver": {"dice": values_with(0.93, 0.15, 40 + round(1.1 * judgement.more_cases))}})
    assert judge(again, gate_of()).outcome == "PASS"


def test_nothing_is_promised_where_no_number_of_cases_would_prove_it(made_report):
    wrong_side = only(judge(made_report({"liver": {"dice": values_with(0.895, 0.05, 40)}}), gate_of()))
    assert wrong_side.why == "the mean is on the wrong side, the 95 % interval reaches across"
    on_it = only(judge(made_report({"liver": {"dice": [0.8, 1.0] * 20}}), gate_of()))
    for judgement in (wrong_side, on_it):
        assert (judgement.outcome, judgement.more_cases, judgement.likely) == ("UNPROVEN", None, None)


def test_a_signed_error_needs_as_many_patients_as_its_harder_side(made_report):
    report = made_report({"liver": {"volume_error_relative": values_with(0.08, 0.2, 40)}})
    judgement = only(judge(report, gate_of(metric="volume_error_relative", threshold=0.1)))
    assert 40 + judgement.more_cases == pytest.approx((1.96 * 0.2 / 0.02) ** 2, rel=0.05)


@given(
    st.lists(st.integers(0, 1000), min_size=1, max_size=12),
    st.integers(0, 1000),
    st.sampled_from(["at least", "at most", "within"]),
)
def test_the_outcome_is_what_the_interval_says(made_report, thousandths, threshold, direction):
    values = [value / 1000 for value in thousandths]
    threshold = max(threshold, 1) / 1000
    report = made_report({"liver": {"dice": values}})
    judgement = only(judge(report, gate_of(threshold=threshold, direction=direction)))
    low, high = judgement.found.low, judgement.found.high
    if low is None:
        assert judgement.outcome == "UNPROVEN"
        return
    inside = {
        "at least": low >= threshold,
        "at most": high <= threshold,
        "within": -threshold <= low and high <= threshold,
    }[direction]
    outside = {"at least": high < threshold, "at most": low > threshold, "within": low > threshold}[direction]
    assert judgement.outcome == ("PASS" if inside else "FAIL" if outside else "UNPROVEN")
    assert low <= judgement.found.mean + 1e-12
    assert judgement.found.mean <= high + 1e-12


@pytest.mark.parametrize(
    ("mean", "outcome"),
    [(0.01, "PASS"), (-0.3, "FAIL"), (0.3, "FAIL"), (0.1, "UNPROVEN"), (-0.1, "UNPROVEN")],
)
def test_a_signed_error_passes_within_both_bounds(made_report, mean, outcome):
    report = made_report({"liver": {"volume_error_relative": values_with(mean, 0.05, 40)}})
    assert judge(report, gate_of(metric="volume_error_relative", threshold=0.1)).outcome == outcome


def test_errors_that_cancel_out_widely_neither_pass_nor_fail(made_report):
    report = made_report({"liver": {"volume_error_relative": [-5.0, 5.0]}})
    assert judge(report, gate_of(metric="volume_error_relative", threshold=0.1)).outcome == "UNPROVEN"


def test_the_same_report_gets_the_same_verdict(made_report):
    report = made_report({"liver": {"dice": values_with(0.91, 0.1, 31)}})
    assert judge(report, gate_of()) == judge(report, gate_of())
    drawn_anew = judge(report, gate_of(), rng=np.random.default_rng(3))
    assert drawn_anew.outcome == judge(report, gate_of()).outcome


def test_how_the_interval_is_found_is_part_of_the_row(made_report):
    report = made_report({"liver": {"dice": values_with(0.95, 0.05, 10)}})
    half = {
        (interval, level): judge_half(report, interval=interval, level=level)
        for interval in ("t", "percentile")
        for level in (0.9, 0.95)
    }
    assert half["t", 0.95] == pytest.approx(2.262 * 0.05 / 10**0.5, rel=1e-3)
    assert half["t", 0.9] == pytest.approx(1.833 * 0.05 / 10**0.5, rel=1e-3)
    assert half["percentile", 0.95] < half["t", 0.95]


def judge_half(report, **fields):
    found = only(judge(report, gate_of(**fields))).found
    return (found.high - found.low) / 2


# --- what is not there


def test_missed_structures_do_not_help_a_distance_to_pass(made_report):
    values = {
        "hd95": [*values_with(2, 0.1, 40), None, None, None],
        "volume_prediction": [10.0] * 40 + [0.0, 0.0, 0.0],
    }
    judgement = only(judge(made_report({"liver": values}), gate_of(metric="hd95", threshold=5)))
    assert (judgement.outcome, judgement.hidden, judgement.more_cases) == ("UNPROVEN", 3, None)
    assert judgement.why == "3 cases have no hd95 and are left out of the mean"


def test_invented_structures_do_not_help_a_distance_either(made_report):
    values = {"hd95": [*values_with(2, 0.1, 40), None], "volume_reference": [10.0] * 40 + [0.0]}
    assert only(judge(made_report({"liver": values}), gate_of(metric="hd95", threshold=5))).hidden == 1


def test_cases_with_nothing_to_find_and_nothing_found_are_no_obstacle(made_report):
    nothing = {"volume_reference": [10.0] * 40 + [0.0], "volume_prediction": [10.0] * 40 + [0.0]}
    values = {"hd95": [*values_with(2, 0.1, 40), None]} | nothing
    assert judge(made_report({"liver": values}), gate_of(metric="hd95", threshold=5)).outcome == "PASS"


def test_a_row_without_its_structure_is_stated(made_report):
    report = made_report({"spleen": {"dice": values_with(0.95, 0.01, 40)}})
    insisting = judge(report, gate_of())
    assert insisting.outcome == "UNPROVEN"
    assert insisting.unasked == ("spleen",)
    text = insisting.to_markdown()
    assert "- UNPROVEN: liver (Dice at least 0.9): the report has no structure of this name." in text
    assert "- No row of the gate asks about spleen." in text
    lenient = judge(report, gate_of(required=False))
    assert lenient.outcome == "NOT JUDGED"
    assert "this name; the gate does not insist on one." in lenient.to_markdown()


def test_a_metric_that_was_not_measured_proves_nothing(made_report):
    report = made_report({"liver": {"dice": [0.9] * 40}})
    judgement = only(judge(report, gate_of(metric="hd95", threshold=5)))
    assert (judgement.outcome, judgement.why) == ("UNPROVEN", "no case has a value of hd95")


def test_one_patient_has_no_interval(made_report):
    report = made_report({"liver": {"dice": [0.99, 0.98]}}, patients=["a", "a"])
    judgement = only(judge(report, gate_of()))
    assert (judgement.outcome, judgement.why) == ("UNPROVEN", "one patient: there is no interval")


def test_a_report_without_cases_is_not_judged(made_report):
    empty = made_report({"liver": {"dice": []}})
    verdict = judge(empty, LITERATURE)
    assert verdict.outcome == "NOT JUDGED"
    assert "PASS" not in verdict.to_markdown()


def test_values_that_are_all_the_same_are_judged_by_themselves(made_report):
    report = made_report({"liver": {"dice": [0.9] * 40}})
    assert judge(report, gate_of(threshold=0.9)).outcome == "PASS"
    assert judge(report, gate_of(threshold=0.901)).outcome == "FAIL"


# --- all together


def test_one_failure_fails_all_and_one_doubt_makes_a_doubt(made_report):
    report = made_report(
        {
            "good": {"dice": values_with(0.95, 0.01, 40)},
            "bad": {"dice": values_with(0.5, 0.01, 40)},
            "unclear": {"dice": values_with(0.9, 0.1, 40)},
        }
    )

    def outcome(*names):
        criteria = tuple(Criterion(structure=n, threshold=0.9, source=SOURCE) for n in names)
        return judge(report, Gate(name="ours", criteria=criteria)).outcome

    assert outcome("good") == "PASS"
    assert outcome("good", "unclear") == "UNPROVEN"
    assert outcome("good", "unclear", "bad") == "FAIL"


def test_a_verdict_is_never_shown_alone(made_report):
    report = made_report(
        {
            "liver": {
                "dice": values_with(0.96, 0.01, 40),
                "hd95_pooled": values_with(3, 1, 40),
                "volume_error_relative": values_with(0.02, 0.1, 40),
            }
        }
    )
    verdict = judge(report, LITERATURE)
    (around,) = verdict.surroundings
    assert around.median_ml == 10
    measured = {found.metric: found.mean for found in around.beside}
    assert measured == {
        "dice": pytest.approx(0.96),
        "hd95_pooled": pytest.approx(3),
        "nsd": None,
        "volume_error_relative": pytest.approx(0.02),
    }
    text = verdict.to_markdown()
    assert "| structure | median size | Dice | HD95 pooled | NSD | Relative volume error |" in text
    assert "| liver | 10 ml | 0.960 [" in text
    assert "not measured" in text
    assert "Defaults from the literature, not regulatory limits." in text
    assert (
        "- Source of liver, Dice at least 0.95: literature default, not a regulatory limit: liver in CT"
        in text
    )


def test_lesions_are_seen_with_it_where_they_were_counted(made_report):
    columns = {"dice": values_with(0.8, 0.01, 40), "lesion_recall": values_with(0.55, 0.01, 40)}
    text = judge(made_report({"lung lesion": columns}), LITERATURE).to_markdown()
    assert "| Relative volume error | Lesion recall |" in text
    assert "| 0.550 [" in text


def test_people_stand_beside_the_model(made_report):
    report = made_report({"liver": {"dice": values_with(0.96, 0.01, 40)}})
    readers = made_report({"liver": {"dice": values_with(0.93, 0.01, 20)}}, title="B against A")
    judgement = only_liver(judge(report, LITERATURE, people=readers))
    assert judgement.people.mean == pytest.approx(0.93)
    assert "| 0.930 [" in judge(report, LITERATURE, people=readers).to_markdown()
    others = made_report({"spleen": {"dice": [0.9, 0.8]}})
    assert only_liver(judge(report, LITERATURE, people=others)).people.mean is None


def test_a_structure_that_no_case_has_is_unproven(made_report):
    nothing = {"dice": [None] * 40, "volume_reference": [0.0] * 40, "volume_prediction": [0.0] * 40}
    verdict = judge(made_report({"liver": nothing}), gate_of())
    assert (verdict.outcome, only(verdict).why) == ("UNPROVEN", "no case has a value of dice")
    assert "| liver | none has it |" in verdict.to_markdown()


def test_a_verdict_lives_as_json(made_report):
    verdict = judge(made_report({"liver": {"dice": [0.9] * 3}}), read_gate("literature"))
    assert Verdict.from_json(verdict.to_json(), where="here") == verdict
