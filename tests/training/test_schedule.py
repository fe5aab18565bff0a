"""Schedules, against torch's and nnU-Net's numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim import lr_scheduler

from delineate.planning.plan import Training
from delineate.training.schedule import rate_at


def plan(**changes):
    return Training(
        **{"optimizer": "sgd", "learning_rate": 0.01, "weight_decay": 0, "schedule": "poly", "steps": 10}
        | changes
    )


@pytest.mark.parametrize(("epoch", "rate"), [(0, 0.01), (250, 0.007719), (500, 0.005359), (750, 0.002872)])
def test_the_polynomial_gives_the_rates_of_nnunet(epoch, rate):
    assert rate_at(plan(), epoch / 1000) == pytest.approx(rate, abs=5e-7)


def _of_torch(make, epochs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    schedule, rates = make(optimizer), []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@given(st.integers(2, 60), st.integers(1, 20), st.floats(0.1, 0.9))
@settings(max_examples=25, deadline=None)
def test_the_stairs_are_those_of_torch(epochs, every, factor):
    training = plan(schedule="step", step_every=min(every / epochs, 1.0), step_factor=factor)
    ours = [rate_at(training, epoch / epochs) for epoch in range(epochs)]
    peer = _of_torch(lambda o: lr_scheduler.StepLR(o, min(every, epochs), factor), epochs)
    assert ours == pytest.approx(peer)


@given(st.integers(2, 60))
@settings(max_examples=15, deadline=None)
def test_the_cosine_is_that_of_torch(epochs):
    ours = [rate_at(plan(schedule="cosine"), epoch / epochs) for epoch in range(epochs)]
    peer = _of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, epochs), epochs)
    assert ours == pytest.approx(peer, abs=1e-12)


@given(st.integers(2, 60))
@settings(max_examples=15, deadline=None)
def test_the_polynomial_is_that_of_torch(epochs):
    ours = [rate_at(plan(), epoch / epochs) for epoch in range(epochs)]
    peer = _of_torch(lambda o: lr_scheduler.PolynomialLR(o, epochs, 0.9), epochs)
    assert ours == pytest.approx(peer, abs=1e-12)


@given(st.integers(8, 60), st.floats(0.3, 0.7))
@settings(max_examples=15, deadline=None)
def test_one_cycle_is_that_of_torch(steps, rise):
    """Torch's top is a step before its share of the steps, and its end is the last step."""
    share, last = (rise * steps - 1) / (steps - 1), steps - 1
    ours = [rate_at(plan(schedule="one_cycle", warmup=share), step / last) for step in range(steps)]
    peer = _of_torch(
        lambda o: lr_scheduler.OneCycleLR(o, 0.01, total_steps=steps, pct_start=rise, cycle_momentum=False),
        steps - 1,
    )
    assert ours[:-1] == pytest.approx(peer, abs=1e-12)


def test_one_cycle_begins_low_is_at_its_top_after_a_third_and_ends_at_almost_nothing():
    cycle = plan(schedule="one_cycle")
    assert [rate_at(cycle, p) for p in (0, 0.3, 1)] == pytest.approx([0.0004, 0.01, 4e-8])
    assert rate_at(plan(schedule="one_cycle", warmup=1.0), 1.0) == pytest.approx(4e-8)


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(["poly", "cosine", "step", "constant", "one_cycle"]))
def test_a_rate_is_never_above_the_planned_one_nor_below_zero(progress, warmup, schedule):
    assert 0 <= rate_at(plan(schedule=schedule, warmup=warmup), progress) <= 0.01


@pytest.mark.parametrize("schedule", ["poly", "cosine"])
def test_the_rate_has_come_to_nothing_at_the_end(schedule):
    assert rate_at(plan(schedule=schedule), 1.0) == pytest.approx(0)


def test_warming_up_rises_in_a_line_to_the_whole_rate():
    training = plan(warmup=0.2)
    assert [rate_at(training, p) for p in (0, 0.05, 0.1, 0.2)] == pytest.approx([0, 0.0025, 0.005, 0.01])
    assert rate_at(training, 0.6) == pytest.approx(0.01 * 0.5**0.9)  # half of what is left is done


def test_a_constant_rate_stays_and_a_stair_of_no_width_is_none():
    assert rate_at(plan(schedule="constant"), 0.99) == 0.01
    assert rate_at(plan(schedule="step", step_every=0.0), 0.99) == 0.01
