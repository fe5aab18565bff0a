import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.evaluation import Rules
from delineate.evaluation.comparison import Terms, compare
from delineate.evaluation.scores import Report, Row, report_of


def outcomes(comparison):
    return {(c.structure, c.metric): c.outcome for c in comparison.contrasts}


def test_a_clear_difference_is_proven_everywhere(made_model):
    found = compare(made_model(0.03, 1, title="new"), made_model(0.0, 2, title="old"))
    assert {c.better for c in found.contrasts if c.metric == "dice"} == {"new"}
    assert found.verdict.startswith("new is better, proven: in 6 of 9 comparisons, old in none; Dice ")
    assert all(c.adjusted >= c.p for c in found.contrasts)


def test_a_model_is_not_better_than_itself(made_model):
    found = compare(made_model(), made_model(), names=("A", "A again"), terms=Terms(margins={"dice": 0.01}))
    dice = found.contrast("liver", "dice")
    assert (dice.difference, dice.low, dice.high, dice.p, dice.effect) == (0, 0, 0, 1.0, None)
    assert dice.outcome == "equivalent"
    assert found.contrast("liver", "hd95").outcome == "not proven"


@pytest.mark.parametrize("test", ["permutation", "wilcoxon"])
def test_turned_around_the_same_is_proven_of_the_other(made_model, test):
    one, other = made_model(0.02, 1, title="one"), made_model(0.0, 2, title="other")
    here, there = (compare(*pair, terms=Terms(test=test)) for pair in ((one, other), (other, one)))
    for structure, metric in outcomes(here):
        a, b = here.contrast(structure, metric), there.contrast(structure, metric)
        assert (a.better, a.p, a.ahead_first) == (b.better, b.p, b.ahead_second)
        assert a.difference == pytest.approx(-b.difference)
        assert (a.low, a.high) == pytest.approx((-b.high, -b.low))


def test_alike_within_a_margin_is_told_from_not_proven(made_model):
    one, other = made_model(0.001, 1, noise=0.005), made_model(0.0, 2, noise=0.005)
    terms = Terms(metrics=("dice",), margins={"dice": 0.02})
    assert set(outcomes(compare(one, other, terms=terms)).values()) == {"equivalent"}
    assert set(outcomes(compare(one, other, terms=Terms(metrics=("dice",)))).values()) == {"not proven"}


def test_the_same_comparison_twice(made_model):
    one, other = made_model(0.01, 1), made_model(0.0, 2)
    assert compare(one, other) == compare(one, other)
    drawn = compare(one, other, rng=np.random.default_rng(5))
    assert drawn != compare(one, other)
    assert outcomes(drawn) == outcomes(compare(one, other))


def test_what_was_looked_at_more_is_harder_to_prove(made_model):
    one, other = made_model(0.01, 1), made_model(0.0, 2)
    alone = compare(one, other, terms=Terms(metrics=("dice",))).contrast("liver", "dice")
    among = compare(one, other).contrast("liver", "dice")
    assert among.p == pytest.approx(alone.p, abs=0.005)
    assert among.adjusted > alone.adjusted


def test_scans_of_one_patient_prove_less(made_model):
    patients = [f"p{n // 8}" for n in range(40)]
    single = compare(made_model(0.015, 1), made_model(0.0, 2))
    clustered = compare(made_model(0.015, 1, patients=patients), made_model(0.0, 2, patients=patients))
    assert (single.patients, clustered.patients) == (40, 5)
    assert single.contrast("liver", "dice").better
    assert not any(c.better for c in clustered.contrasts)
    assert "With 5 patients and 9 comparisons nothing could be proven" in "\n".join(clustered.notes)


def test_who_misses_hard_cases_is_told(made_model):
    found = compare(made_model(0, 1, title="careful"), made_model(0, 2, missed=[1, 5], title="bold"))
    assert found.contrast("liver", "hd95").only_first == 2
    assert (
        "HD95: values without a partner are left out: 4 of careful where bold has none. "
        "A model that fails in hard cases looks better for it."
    ) in found.notes
    judged = compare(
        made_model(0, 1, title="careful"),
        made_model(0, 2, missed=[1, 5], title="bold"),
        terms=Terms(missing="judged"),
    )
    assert judged.contrast("liver", "hd95").only_first == 0
    assert judged.contrast("liver", "hd95").difference < found.contrast("liver", "hd95").difference
    assert not any("left out" in note for note in judged.notes)


def test_more_than_two_models_are_ranked_and_all_pairs_are_counted(made_model):
    reports = [
        made_model(s, n, title=t) for n, (s, t) in enumerate([(0, "plain"), (0.03, "new"), (0.028, "big")])
    ]
    found = compare(*reports)
    assert len(found.contrasts) == 3 * 3 * 3
    assert [r.metric for r in found.rankings] == ["dice", "hd95", "volume_error_relative"]
    assert found.rankings[0].names[2] == "plain"
    leader = found.rankings[0].names[0]
    assert found.verdict.startswith(f"{leader} comes first by mean Dice and in ")
    assert "proven better than plain, not than" in found.verdict
    assert compare(*reports[:2]).rankings == ()


def test_an_order_that_ranks_do_not_share_is_told(made_report):
    def model(values, title):
        return made_report({"liver": {"dice": values}}, title=title)

    steady, often = model([0.88] * 10, "steady"), model([0.9] * 9 + [0.0], "often")
    found = compare(steady, often, model([0.3] * 10, "poor"))
    assert "By Dice the order is another one if ranks in cases are averaged instead of values." in found.notes


def test_one_case_proves_nothing(made_model):
    found = compare(made_model(0.1, 1, cases=1), made_model(0, 2, cases=1))
    assert set(outcomes(found).values()) == {"not proven"}
    assert found.contrast("liver", "dice").low is None
    assert "With 1 patient and 9 comparisons nothing could be proven" in "\n".join(found.notes)


def test_where_one_has_no_value_at_all_nothing_is_compared(made_report):
    one = made_report({"lesion": {"hd95": [1.0, 2.0, 3.0]}}, title="one")
    other = made_report({"lesion": {"hd95": [None, None, None]}}, title="other")
    found = compare(one, other)
    assert outcomes(found) == {("lesion", "hd95"): "not compared"}
    assert found.verdict == "one and other cannot be compared: no case has a value of both."
    assert compare(one, other, one.but(title="third")).rankings == ()


def test_names_are_titles_or_letters_or_what_is_said(made_model):
    one, other = made_model(seed=1), made_model(seed=2)
    assert compare(one, other).names == ("model 1", "model 2")
    assert compare(one, one).names == ("A", "B")
    assert compare(one, one, names=("x", "y")).names == ("x", "y")
    for names in (("x", "x"), ("x",)):
        with pytest.raises(DataError, match="expected 2 different names of models, got x"):
            compare(one, other, names=names)


def test_a_margin_of_what_is_not_compared_is_refused(made_model):
    with pytest.raises(
        DataError, match="margin was named for nsd, which is not compared; compared are dice, hd95"
    ):
        compare(made_model(), made_model(seed=2), terms=Terms(margins={"nsd": 0.1}))


# --- how often it errs

CASES, RULES = 14, Rules(metrics=("dice", "hd95"))


def drawn_report(title: str, seed: int, shift: float = 0.0) -> Report:
    """A model on 14 hard and easy cases of two structures, with errors of its own."""
    hard, own = np.random.default_rng(3), np.random.default_rng(seed)
    rows = []
    for structure in ("liver", "cyst"):
        base = hard.beta(18, 3, CASES)
        dice = np.clip(base + shift + 0.02 * own.standard_t(4, CASES), 0, 1)
        columns = {
            "dice": dice,
            "hd95": 15 - 12 * dice + 0.5 * own.normal(size=CASES),
            "volume_reference": np.full(CASES, 10.0),
            "volume_prediction": np.full(CASES, 10.0),
        }
        for metric, values in columns.items():
            rows += [
                Row(case=f"{n}", structure=structure, metric=metric, definition="", value=float(v), unit="1")
                for n, v in enumerate(values)
            ]
    groups = {f"{n}": f"{n}" for n in range(CASES)}
    return report_of(rows, title=title, rules=RULES.but(interval="t"), groups=groups, rng=own)


def share_with(condition, repeats, shift=0.0, **terms):
    hits = 0
    for seed in range(repeats):
        found = compare(
            drawn_report("a", 2 * seed), drawn_report("b", 2 * seed + 1, shift), terms=Terms(**terms)
        )
        hits += condition(found)
    return hits / repeats


def anything_proven(comparison):
    return any(contrast.better for contrast in comparison.contrasts)


@pytest.mark.parametrize("test", ["permutation", "wilcoxon"])
def test_of_equal_models_at_most_one_table_in_twenty_calls_anything_better(test):
    """200 pairs of equal models, six comparisons each: all together err as rarely as one may."""
    assert share_with(anything_proven, 200, test=test, interval="t") <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


def test_one_comparison_errs_in_about_one_of_twenty():
    """Dice alone, unadjusted: neither more often nor, being exact, much less."""
    found = share_with(lambda c: c.contrast("liver", "dice").p < 0.05, 400, metrics=("dice",), interval="t")
    assert 0.025 <= found <= 0.08


def test_a_large_difference_is_found_and_in_the_right_direction():
    def right(found):
        return any(c.better == "b" for c in found.contrasts) and not any(
            c.better == "a" for c in found.contrasts
        )

    assert share_with(right, 60, shift=0.04) > 0.9


@given(st.integers(0, 20))
def test_by_default_nothing_is_called_equivalent(seed):
    found = compare(drawn_report("a", seed), drawn_report("b", seed + 100))
    assert "equivalent" not in outcomes(found).values()
