"""What a plan can do for scans of other places: numbers with their source, and a way back."""

import pytest

from delineate.errors import PlanError
from delineate.planning import Plan, make_plan
from delineate.planning.generalize import (
    HEAVY,
    KEPT,
    augmented,
    is_matched,
    matched,
    measurable,
    unmatched,
)
from delineate.planning.plan import LANDMARKS, Augmentation

EVEN = tuple(float(n) for n in range(len(LANDMARKS)))


@pytest.fixture(scope="module")
def plan(fingerprint_of):
    return make_plan(fingerprint_of([(40, 50, 60)] * 5, (1.0, 1.0, 1.0)), device="cpu", steps=10)


def test_heavy_is_recorded_number_by_number_with_its_source(plan):
    heavy = augmented(plan, "heavy")
    for name, drawn in heavy.augmentation.items():
        assert drawn.preset == "heavy"
        for field, (value, why) in HEAVY.items():
            assert getattr(drawn, field) == value
            assert heavy.reasons[f"augmentation.{name}.{field}"] == why
        assert all(getattr(drawn, field) == getattr(plan.augmentation[name], field) for field in KEPT)
    assert Plan.from_json(heavy.to_json(), where="plan") == heavy
    assert '"gradient_probability": 0.3' in heavy.to_json()


def test_there_and_back_is_the_plan_as_it_was(plan):
    assert augmented(augmented(plan, "heavy"), "nnunet") == plan
    assert augmented(plan, "nnunet") is plan


def test_plans_without_it_look_as_they_did(plan):
    assert "shifts" not in plan.to_json()
    assert "landmarks" not in plan.to_json()
    assert Augmentation().shifts is None


def test_an_augmentation_that_nobody_knows_is_refused(plan):
    with pytest.raises(PlanError, match="there is no augmentation 'light'; there are nnunet, heavy"):
        augmented(plan, "light")


def test_histograms_are_matched_and_unmatched(plan):
    found = matched(plan, {"MRI": EVEN}, 5)
    assert found.channels[0].normalization.landmarks == EVEN
    assert "where 5 cases have them on average" in found.reasons["channels.0"]
    assert is_matched(found)
    assert not is_matched(plan)
    assert Plan.from_json(found.to_json(), where="plan") == found
    assert unmatched(found).channels == plan.channels
    assert unmatched(plan) is plan


def test_ct_means_the_same_everywhere_and_is_not_matched(fingerprint_of):
    found = fingerprint_of([(40, 50, 60)] * 5, (1.0, 1.0, 1.0), channels=("CT",))
    plan = make_plan(found, device="cpu", steps=10)
    assert measurable(plan) == ()
    with pytest.raises(PlanError, match=r"no histogram is matched: values of CT \(ct\) mean the same"):
        matched(plan, {}, 5)


def test_a_channel_without_landmarks_stays_as_it_was(plan):
    assert matched(plan, {}, 5).channels == plan.channels


def test_landmarks_that_do_not_fit_are_refused(plan):
    with pytest.raises(ValueError, match="landmarks are 11 numbers, got 2"):
        plan.channels[0].normalization.but(landmarks=(0.0, 1.0))
    by_hand = plan.set_by_hand("channels.0.normalization.rule", "unit")
    rule = by_hand.channels[0].normalization
    with pytest.raises(ValueError, match="landmarks belong to rule 'zscore', not to 'unit'"):
        rule.but(landmarks=EVEN)
