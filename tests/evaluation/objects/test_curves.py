"""Curves: areas and sensitivities against going through candidates one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.evaluation.objects.curves import Ladder, average_precision, ranked_precision, sensitivities

candidates = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()), max_size=12)


def naive_areas(scores, right, total):
    """Both areas, from precision and recall at every score."""
    steps = []
    for score in sorted(set(scores), reverse=True):
        taken = [r for s, r in zip(scores, right, strict=True) if s >= score]
        steps.append((sum(taken) / total, sum(taken) / len(taken)))

    def best(recall):
        return max((p for r, p in steps if r >= recall), default=0.0)

    exact = last = 0.0
    for recall, _ in steps:
        exact += (recall - last) * best(recall)
        last = recall
    return exact, np.mean([best(recall) for recall in np.linspace(0, 1, 101)])


@given(candidates, st.integers(0, 3))
def test_areas_are_those_of_their_definitions(drawn, missed):
    scores = np.array([score for score, _ in drawn])
    right = np.array([is_right for _, is_right in drawn], float)
    total = right.sum() + missed
    areas = [
        average_precision(Ladder.of(scores), right, 1 - right, np.array(total), by)
        for by in ("steps", "101 points")
    ]
    if not total:
        assert np.isnan(areas).all()
    else:
        assert areas == pytest.approx(naive_areas(scores, right, total))


@given(candidates, st.randoms(use_true_random=False))
def test_the_order_in_which_candidates_are_listed_does_not_matter(drawn, shuffler):
    def area(listed):
        scores = np.array([score for score, _ in listed])
        right = np.array([is_right for _, is_right in listed], float)
        return average_precision(Ladder.of(scores), right, 1 - right, np.array(20.0))

    again = list(drawn)
    shuffler.shuffle(again)
    assert area(again) == pytest.approx(area(drawn))


def test_a_case_that_counts_twice_is_as_two_cases():
    scores, right = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1.0, 0.0, 1.0, 0.0])
    case = np.array([0, 0, 1, 1])
    rows = np.array([[1.0, 1.0], [2.0, 1.0], [0.0, 3.0]])
    found = ranked_precision(Ladder.of(scores), case, right, 1 - right, np.array([2.0, 1.0]), rows, "steps")
    for row, value in zip(rows.astype(int), found, strict=True):
        places = [n for n in range(4) for _ in range(row[case[n]])]
        again = average_precision(
            Ladder.of(scores[places]), right[places], 1 - right[places], row @ np.array([2.0, 1.0])
        )
        assert value == pytest.approx(again)


def test_many_rows_at_once_are_as_one_after_the_other():
    rng = np.random.default_rng(0)
    ladder, right = Ladder.of(rng.random(30)), (rng.random((5, 30)) < 0.4).astype(float)
    for by in ("steps", "101 points"):
        together = average_precision(ladder, right, 1 - right, np.full(5, 15.0), by)
        alone = [float(average_precision(ladder, row, 1 - row, np.array(15.0), by)) for row in right]
        assert together == pytest.approx(alone)


def test_sensitivity_between_and_beyond_the_rungs():
    rates = np.array([0.0, 0.25, 0.5, 1.0, 8.0])
    # One found, one false alarm in two scans, one more found, two more false alarms.
    found = sensitivities(rates, np.array([0.0, 0.5, 0.5, 1.0, 1.5]), np.array([0.2, 0.2, 0.4, 0.4, 0.4]))
    assert found.tolist() == [0.2, 0.2, 0.4, 0.4, 0.4]


def test_found_and_false_at_one_score_come_in_together():
    half_way = sensitivities(np.array([0.5]), np.array([1.0]), np.array([0.8]))
    assert half_way.tolist() == [0.4]


def test_without_candidates_nothing_is_found():
    nothing = np.zeros(0)
    assert sensitivities(np.array([1.0]), nothing, nothing).tolist() == [0.0]
    assert average_precision(Ladder.of(nothing), nothing, nothing, np.array(3.0)) == 0
