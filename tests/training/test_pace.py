"""Pace: how a training keeps its budget."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.planning.plan import Training
from delineate.training.pace import Pace, Stopwatch
from delineate.training.schedule import rate_at


def _plan(minutes=None, **changes):
    return Training(
        optimizer="adamw", learning_rate=1.0, weight_decay=0, schedule="poly", minutes=minutes, **changes
    )


def _simulated(plan, step_s, validation_s, save_s=0.1, jitter=()):
    """Runs through a budget with steps of these lengths: seconds in all, steps, the last rate."""
    pace, elapsed, step, rate = Pace(save_s=save_s), save_s, 0, 0.0
    while not pace.is_over(plan, step, elapsed):
        rate = rate_at(plan, pace.progress(plan, step, elapsed))
        took = step_s * (jitter[step % len(jitter)] if jitter else 1)
        elapsed, step, pace = elapsed + took, step + 1, pace.stepped(took)
        if step % plan.validate_every == 0 or pace.is_over(plan, step, elapsed):
            if pace.validation_s is None:
                validation_s = min(validation_s, pace.validation_limit_s(plan, elapsed))
            elapsed, pace = elapsed + validation_s, pace.but(validation_s=validation_s)
    return elapsed + save_s, step, rate


@given(st.floats(0.5, 30), st.floats(0.02, 1), st.floats(0.05, 1))
@settings(max_examples=60, deadline=None)
def test_a_budget_is_kept_and_used_on_any_machine(minutes, step_s, share):
    plan, budget = _plan(minutes), minutes * 60
    seconds, _, _ = _simulated(plan, step_s, validation_s=share * 0.1 * budget)
    assert seconds <= budget + 1e-6
    assert seconds >= 0.6 * budget


@pytest.mark.parametrize(("minutes", "step_s"), [(2, 0.4), (10, 0.4), (20, 1.0), (20, 0.1)])
def test_the_rate_has_run_its_course_when_the_time_is_up(minutes, step_s):
    plan = _plan(minutes)
    seconds, steps, rate = _simulated(plan, step_s, validation_s=15 * step_s)
    assert rate < 0.1
    assert seconds > 0.9 * minutes * 60
    assert steps > 0.8 * minutes * 60 / step_s - 100


def test_a_budget_is_kept_where_steps_are_uneven():
    jitter = (1.0, 1.4, 0.8, 1.1, 3.0, 0.9)
    seconds, _, rate = _simulated(_plan(3), 0.5, validation_s=8, jitter=jitter)
    assert 0.85 * 180 < seconds <= 180
    assert rate < 0.15


def test_the_first_step_is_always_made():
    pace = Pace(save_s=100.0)
    assert not pace.is_over(_plan(0.01), 0, 99.0)
    assert pace.is_over(_plan(0.01), 1, 99.0)
    assert pace.progress(_plan(0.01), 0, 99.0) == 1.0


def test_steps_are_counted_where_the_end_is_counted_in_steps():
    plan = _plan(steps=8)
    assert [Pace().progress(plan, step, 1e9) for step in (0, 4, 8)] == [0, 0.5, 1]
    assert not Pace().is_over(plan, 7, 1e9)
    assert Pace().is_over(plan, 8, 0)


def test_a_validation_may_take_a_tenth_of_the_budget_and_no_more_than_is_left():
    pace = Pace(step_s=10.0, save_s=1.0)
    assert pace.validation_limit_s(_plan(10), 0) == pytest.approx(60)
    assert pace.validation_limit_s(_plan(10), 560) == pytest.approx(600 - 560 - 4)
    assert pace.validation_limit_s(_plan(steps=10), 560) == math.inf
    assert pace.closing_s(_plan(10)) == pytest.approx(60 + 4)  # fifty batches of 4 s would be 200 s
    assert pace.but(validation_s=20.0).closing_s(_plan(10)) == pytest.approx(22 + 4)


def test_what_remains_is_counted_with_its_validations():
    pace = Pace(step_s=2.0, validation_s=10.0)
    assert pace.remaining_s(_plan(steps=600), 100, 0) == pytest.approx(500 * 2 + 2 * 10)
    assert pace.remaining_s(_plan(1), 100, 50) == pytest.approx(10)
    assert pace.remaining_s(_plan(1), 100, 70) == 0


def test_a_stopwatch_goes_on_from_where_it_was():
    times = iter([100.0, 103.0])
    assert Stopwatch(lambda: next(times), 40.0)() == 43.0
