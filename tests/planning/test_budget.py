from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.errors import PlanError
from delineate.planning.budget import (
    CPU_GFLOPS,
    CPU_MINUTES,
    FEWEST_STEPS,
    LONG_STEPS,
    STEPS_IN_TEN_MINUTES,
    Budget,
)
from delineate.planning.plan import Training
from delineate.planning.presets import PRESETS


def budget(device="cpu", minutes=None, steps=None, trainings=1, gflops=CPU_GFLOPS):
    return Budget.of(device, minutes, steps, trainings, gflops)


def test_without_a_budget_a_gpu_trains_as_nnunet_does():
    training = budget("gpu").training((0, 1, 2))
    assert training == Training(
        optimizer="sgd", learning_rate=1e-2, weight_decay=3e-5, schedule="poly", steps=LONG_STEPS
    )
    assert (training.momentum, training.clip, training.foreground) == (0.99, 12, 0.33)
    assert (training.validate_every, training.validation_batches, training.ema) == (250, 50, 0)


def test_without_a_budget_a_cpu_trains_for_minutes():
    training = budget().training((0, 1, 2))
    assert training.minutes == CPU_MINUTES
    assert training.optimizer == "adamw"
    assert "nobody set a budget" in budget().reasons()["training.minutes"]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("wish", [{"minutes": 20}, {"steps": 1000}])
def test_a_short_budget_gets_the_short_recipe_on_any_device(device, wish):
    training = budget(device, **wish).training((0,))
    assert (training.optimizer, training.learning_rate, training.weight_decay) == ("adamw", 1e-3, 1e-2)
    assert training.warmup == 0.05
    assert training.mirror_axes == (0,)
    assert (training.minutes, training.steps) == (wish.get("minutes"), wish.get("steps"))


def test_many_steps_or_hours_on_a_gpu_get_the_long_recipe():
    assert budget("gpu", steps=100_000).training((0,)).optimizer == "sgd"
    assert budget("gpu", minutes=600).training((0,)).optimizer == "sgd"


def test_minutes_are_for_one_training_unless_more_are_asked_for():
    assert budget("gpu").is_thorough
    assert budget("gpu", steps=100_000).is_thorough
    assert not budget("gpu", minutes=600).is_thorough
    assert not budget("cpu").is_thorough


def test_minutes_are_shared_by_all_trainings():
    assert budget(minutes=20, trainings=4).minutes == 5
    assert budget(steps=20, trainings=4).steps == 20


def test_ten_minutes_have_the_steps_that_were_measured_to_be_enough():
    assert budget(minutes=10).expected_steps == STEPS_IN_TEN_MINUTES
    assert budget(minutes=0.05).expected_steps == FEWEST_STEPS


@given(st.floats(0.1, 1000), st.floats(1, 10))
def test_more_time_gives_more_steps_and_larger_ones(minutes, factor):
    less, more = budget(minutes=minutes), budget(minutes=minutes * factor)
    assert less.expected_steps <= more.expected_steps
    if less.expected_steps > FEWEST_STEPS:
        assert less.operations <= more.operations * 1.01  # steps are whole


@given(st.floats(0.1, 1000))
def test_the_steps_fill_the_time(minutes):
    given_time = budget(minutes=minutes)
    seconds = given_time.expected_steps * given_time.operations / (given_time.gflops * 1e9)
    assert seconds == pytest.approx(minutes * 60)


def test_once_a_step_is_known_the_steps_are_those_that_fit():
    ten = budget(minutes=10)
    half = replace(ten, step=ten.operations / 2)
    assert half.expected_steps == pytest.approx(2 * ten.aimed_steps, abs=2)
    assert half.training((0,)).validate_every == half.expected_steps // 10
    assert replace(budget(steps=70), step=1e9).expected_steps == 70


def test_counted_steps_are_as_large_as_in_a_budget_of_minutes():
    assert (
        budget(steps=5).operations == budget(steps=5000).operations == budget(minutes=CPU_MINUTES).operations
    )


def test_a_faster_machine_affords_larger_steps():
    assert budget(minutes=10, gflops=800).operations == 2 * budget(minutes=10, gflops=400).operations


def test_on_a_gpu_time_does_not_limit_the_network():
    assert budget("gpu", minutes=5).operations is None
    assert budget("gpu", minutes=5).allowance(PRESETS["default"], 8).widths == (32,)
    assert budget("cpu", minutes=5).allowance(PRESETS["default"], 8).widths[0] == 32


@given(st.floats(0.1, 10_000), st.sampled_from(["cpu", "gpu"]))
def test_a_short_training_is_validated_about_ten_times(minutes, device):
    short = budget(device, minutes=minutes)
    training = short.training((0, 1, 2))
    assert training.minutes == minutes
    if not short.is_short:
        assert training.optimizer == "sgd"
        return
    assert 10 <= short.expected_steps / training.validate_every < 20
    assert 0 < training.ema < 1


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("wish", [{}, {"minutes": 20}, {"steps": 1000}, {"steps": 100_000}])
def test_every_field_of_the_training_has_a_reason(device, wish):
    reasons = budget(device, **wish).reasons()
    told = {path.removeprefix("training.") for path, why in reasons.items() if why}
    assert told >= set(Training.model_fields) - {"mirror_axes", "class_weights"}  # the planner tells these


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"minutes": 5, "steps": 5}, "give either minutes or steps"),
        ({"minutes": 0}, "minutes is a positive number, got 0"),
        ({"minutes": float("nan")}, "minutes is a positive number, got nan"),
        ({"steps": -1}, "steps is a positive number, got -1"),
        ({"gflops": 0}, "gflops is a positive number, got 0"),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused(wish, said):
    with pytest.raises(PlanError, match=said):
        budget(**wish)
