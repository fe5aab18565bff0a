"""Frames before a deadline. The clock is a number that the tests move: no assertion is about real time."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from delineate.errors import ModelError, PlanError
from delineate.inference import Frame, Live, Segmenter
from delineate.inference.live import FACTORS, PROBE, WARM
from delineate.space import Geometry, Volume

SIZE = (24, 16)
GRID = Geometry.of_image(SIZE)


class Clock:
    """Seconds that pass when somebody says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Slow(nn.Module):
    """Takes `rate` seconds per pixel of the clock, and finds what is brighter than 3."""

    def __init__(self, clock, rate):
        super().__init__()
        self.clock, self.rate, self.seen = clock, rate, []

    def forward(self, x):
        pixels = x.shape[0] * x.shape[2] * x.shape[3]
        self.seen.append(tuple(x.shape))
        self.clock.now += self.rate * pixels
        return torch.cat((torch.full_like(x, 3.0), x, torch.zeros_like(x)), dim=1)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def network(clock):
    return Slow(clock, 0.1 / (SIZE[0] * SIZE[1]))  # a tenth of a second for a whole frame


@pytest.fixture
def segmenter(make_plan, configuration, network):
    plan = make_plan({"2d": configuration((*SIZE, 1), slice_axis=2)}, orientation="LPS")
    return Segmenter(plan, {"2d": [network]}, precision="fp32")


def picture(seed=0):
    values = 3 + np.random.default_rng(seed).normal(size=(1, *SIZE, 1)).astype(np.float32)
    return Volume(values, GRID, ("T1",))


def live_of(segmenter, clock, deadline_ms, **options):
    live = Live(segmenter, deadline_ms=deadline_ms, clock=clock, **options)
    live.warm_up(GRID)
    return live


def test_a_frame_in_time_is_what_segment_gives(segmenter, clock):
    (result,) = live_of(segmenter, clock, 200).results([picture()])
    assert (result.flag, result.is_late, result.of, result.factor) == ("full", False, 0, 1.0)
    assert np.array_equal(result.labels.array, segmenter.segment(picture()).labels.array)
    assert result.labels.notes == ()
    assert result.latency_s == pytest.approx(0.1)


def test_a_frame_that_would_be_late_is_made_smaller_and_says_so(segmenter, clock, network):
    live = live_of(segmenter, clock, 60)
    network.seen.clear()
    (result,) = live.results([picture()])
    assert (result.flag, result.is_late, result.factor) == ("reduced", False, 1.5)
    assert network.seen == [(1, 1, 16, 12)]
    assert result.labels.geometry.same_place(GRID)
    assert result.labels.notes == ("reduced: found on a grid 1.5 times as coarse",)


def test_where_no_size_is_in_time_the_last_result_is_given_again(segmenter, clock, network):
    live = live_of(segmenter, clock, 200)
    (first,) = live.results([picture()])
    network.rate *= 100
    clock.now += 0.2
    come = clock.now - 0.199  # it waited: a millisecond is left
    (second,) = live.results([Frame(picture(1), come)])
    assert (second.flag, second.of, second.factor) == ("repeated", 0, 1.0)
    assert second.labels is first.labels
    assert not second.is_late


def test_an_old_result_is_not_given_again(segmenter, clock):
    live = live_of(segmenter, clock, 200, repeat_ms=500)
    list(live.results([picture()]))
    clock.now += 3
    (late,) = live.results([Frame(picture(1), clock.now - 0.3)])
    assert (late.flag, late.labels, late.of) == ("dropped", None, None)
    assert late.why == "no working size fits into the time left"


def test_nothing_is_given_again_that_lies_on_another_grid(segmenter, clock):
    live = live_of(segmenter, clock, 200)
    list(live.results([picture()]))
    other = Volume(np.ones((1, 30, 20, 1), np.float32), Geometry.of_image((30, 20)), ("T1",))
    (result,) = live.results([Frame(other, clock.now - 0.3)])
    assert result.flag == "dropped"


def test_the_first_frame_is_dropped_where_there_is_nothing_to_give_again(segmenter, clock):
    (result,) = live_of(segmenter, clock, 200).results([Frame(picture(), clock.now - 1)])
    assert result.flag == "dropped"


def test_repeats_are_of_the_frame_that_was_looked_at(segmenter, clock):
    live = live_of(segmenter, clock, 200)
    list(live.results([picture()]))
    again = [next(live.results([Frame(picture(), clock.now - 0.3)])) for _ in range(3)]
    assert [(result.number, result.flag, result.of) for result in again] == [
        (n, "repeated", 0) for n in (1, 2, 3)
    ]


def test_a_frame_that_cannot_be_read_is_dropped_with_its_reason(segmenter, clock):
    live = live_of(segmenter, clock, 200)
    results = list(live.results([picture(), Frame(None, name="b.png", why="is cut short"), picture()]))
    assert [result.flag for result in results] == ["full", "dropped", "full"]
    assert (results[1].name, results[1].why) == ("b.png", "is cut short")


def test_a_stream_that_is_too_fast_drains_its_queue_and_never_lags_more_than_a_deadline(segmenter, clock):
    live = live_of(segmenter, clock, 200)
    start, gap = clock.now, 0.005  # two hundred a second; one takes a tenth at full size
    frames = [Frame(picture(n), start + n * gap) for n in range(100)]
    results = []
    for frame in frames:
        clock.now = max(clock.now, frame.arrived_s)
        results += live.results([frame])
    assert [result.number for result in results] == list(range(100))
    assert not any(result.is_late for result in results)
    assert {result.flag for result in results} == {"full", "reduced", "repeated"}
    summary = live.summary()
    assert summary.full + summary.reduced + summary.repeated == summary.frames == 100
    assert summary.max_ms <= 200


def test_a_machine_that_is_slow_for_a_while_gets_its_full_size_back(segmenter, clock, network):
    live = live_of(segmenter, clock, 200)
    quick = network.rate
    flags = []
    for number in range(60):
        network.rate = 50 * quick if 10 <= number < 20 else quick
        clock.now += 0.05
        flags += [result.flag for result in live.results([picture(number)])]
    assert flags[:10] == ["full"] * 10
    assert flags[10] == "full"  # nobody knew; it was late
    assert "repeated" in flags[11:30]
    assert flags[-20:] == ["full"] * 20


def test_a_late_result_says_that_it_is_late(segmenter, clock, network):
    live = live_of(segmenter, clock, 200)
    network.rate *= 10
    (result,) = live.results([picture()])
    assert (result.flag, result.is_late) == ("full", True)
    assert live.summary().late == 1


def test_after_some_frames_without_a_chance_the_smallest_is_tried(segmenter, clock, network):
    network.rate *= 1000
    live = live_of(segmenter, clock, 10)
    results = list(live.results([picture(n) for n in range(2 * PROBE + 2)]))
    flags = [result.flag for result in results]
    assert flags[:PROBE] == ["dropped"] * PROBE
    assert flags[PROBE] == "reduced"
    assert results[PROBE].factor == FACTORS[-1]
    assert results[PROBE].is_late


def test_without_a_warm_up_the_first_frame_pays_and_is_not_held_against_the_others(segmenter, clock, network):
    live = Live(segmenter, deadline_ms=200, clock=clock)
    network.rate *= 40  # cold
    (first,) = live.results([picture()])
    assert (first.flag, first.is_late) == ("full", True)
    network.rate /= 40
    flags = [result.flag for result in live.results(picture(n) for n in range(1, 8))]
    assert flags[-3:] == ["full"] * 3
    assert live.summary().warm_up_ms is None
    assert live.summary().first_ms == pytest.approx(4000)
    assert "cold start: 4000 ms, the first frame" in "\n".join(live.summary().lines())


def test_the_warm_up_does_every_size_and_its_first_frame_is_the_cold_start(segmenter, clock, network):
    live = Live(segmenter, deadline_ms=200, clock=clock)
    assert live.warm_up(GRID) == pytest.approx(100)
    assert len(network.seen) == WARM * len(FACTORS)
    assert live.expected(GRID)[1.0] == pytest.approx(100)
    assert live.expected(GRID)[1.5] == pytest.approx(50)  # 16 x 12 of 24 x 16 pixels
    assert Live(segmenter, deadline_ms=200).expected(GRID) == {}
    assert live.summary().warm_up_ms == pytest.approx(100)
    assert live.summary().p50_ms is None  # no frame yet
    assert live.summary().per_second == 0


def test_sizes_may_be_forbidden(segmenter, clock):
    live = live_of(segmenter, clock, 60, factors=(1.0,))
    (result,) = live.results([picture()])
    assert result.flag == "dropped"


@given(
    gaps=st.lists(st.floats(0, 0.3), min_size=1, max_size=25),
    rates=st.lists(st.floats(0.02, 20), min_size=1, max_size=5),
    deadline_ms=st.floats(5, 400),
)
def test_flags_add_up_and_a_result_is_what_its_flag_says(gaps, rates, deadline_ms, make_plan, configuration):
    clock = Clock()
    network = Slow(clock, 0.1 / (SIZE[0] * SIZE[1]))
    plan = make_plan({"2d": configuration((*SIZE, 1), slice_axis=2)}, orientation="LPS")
    live = live_of(Segmenter(plan, {"2d": [network]}, precision="fp32"), clock, deadline_ms)
    base, come, results = network.rate, clock.now, []
    for number, gap in enumerate(gaps):
        network.rate = base * rates[number % len(rates)]
        come += gap
        clock.now = max(clock.now, come)
        results += live.results([Frame(picture(number), come)])
    for number, result in enumerate(results):
        assert result.number == number
        assert (result.labels is None) == (result.flag == "dropped") == (result.of is None)
        assert result.is_computed == (result.of == number)
        assert (result.factor > 1) == (result.flag == "reduced" or result.factor > 1)
        assert result.is_late == (result.labels is not None and result.latency_s > deadline_ms / 1000)
    summary = live.summary()
    assert summary.full + summary.reduced + summary.repeated + summary.dropped == len(gaps)
    assert summary.late == sum(result.is_late for result in results)


def test_percentiles_are_frames_that_were_looked_at(segmenter, clock):
    live = live_of(segmenter, clock, 1000)
    frames = [Frame(picture(n), clock.now) for n in range(4)]  # all at once: the last waits for three
    assert [round(result.latency_s, 3) for result in live.results(frames)] == [0.1, 0.2, 0.3, 0.4]
    summary = live.summary()
    assert (summary.p50_ms, summary.p99_ms, summary.max_ms) == pytest.approx((200, 400, 400))
    assert summary.per_second == pytest.approx(10)
    said = "\n".join(summary.lines())
    assert "4 frames: 4 full, 0 reduced, 0 repeated, 0 dropped; 0 after the deadline of 1000 ms" in said
    assert "p50 200" in said
    assert "in the warm-up and not among the latencies" in said


class OfOneSize:
    """Another engine than torch: a callable that takes windows of one size."""

    def __init__(self, network):
        self.network = network

    def __call__(self, x):
        assert tuple(x.shape[2:]) == SIZE
        return self.network(x)


def test_an_engine_of_one_size_takes_fewer_windows_of_a_large_frame_and_none_of_a_small_one(
    segmenter, clock, network
):
    fixed = replace(segmenter, networks={"2d": [OfOneSize(network)]})
    (small,) = live_of(fixed, clock, 60).results([picture()])
    assert small.flag == "dropped"  # no size costs less than the one
    wide = Geometry.of_image((3 * SIZE[0], 3 * SIZE[1]))
    live = Live(fixed, deadline_ms=600, clock=clock)
    live.warm_up(wide)
    (large,) = live.results([Volume(np.full((1, *wide.shape), 4, np.float32), wide, ("T1",))])
    assert (large.flag, large.factor, large.is_late) == ("reduced", 2.0, False)


def test_the_segmenter_streams(segmenter, clock):
    results = segmenter.stream([picture(), picture(1)], deadline_ms=500, warm_up=GRID, clock=clock)
    assert [result.flag for result in results] == ["full", "full"]
    cold = segmenter.stream([picture()], deadline_ms=500, clock=clock)
    assert [result.flag for result in cold] == ["full"]


def test_3d_models_and_volumes_are_refused(segmenter, make_plan, make_network, make_scan, clock):
    deep = Segmenter(make_plan(), {"3d_fullres": [make_network(1, 3)]})
    with pytest.raises(ModelError, match=r"this model is 3D \(3d_fullres\).*--use 2d"):
        Live(deep, deadline_ms=200)
    with pytest.raises(ModelError, match=r"a picture across axis 2 of the plan \(LPS\), got Geometry"):
        list(Live(segmenter, deadline_ms=200, clock=clock).results([make_scan((8, 8, 8))]))


def test_an_ensemble_streams_with_its_2d_network(make_plan, make_network, configuration, clock):
    plan = make_plan(
        {"3d_fullres": configuration(), "2d": configuration((8, 8, 1), slice_axis=2)}, orientation="LPS"
    )
    networks = {"2d": [make_network(1, 3, dims=2)], "3d_fullres": [make_network(1, 3)]}
    both = Segmenter(plan, networks, precision="fp32")
    alone = replace(both, plan=plan.but(use=("2d",)))
    (result,) = both.stream([picture()], deadline_ms=1e6, clock=clock)
    assert np.array_equal(result.labels.array, alone.segment(picture()).labels.array)


@pytest.mark.parametrize("deadline_ms", [0, -5])
def test_a_deadline_is_in_the_future(deadline_ms, segmenter):
    with pytest.raises(PlanError, match="a deadline is some milliseconds after a frame came, got"):
        Live(segmenter, deadline_ms=deadline_ms)


@pytest.mark.parametrize("factors", [(), (2.0,), (1.0, 3.0, 2.0), (1.0, 1.0), (0.5, 1.0)])
def test_factors_rise_from_one(factors, segmenter):
    with pytest.raises(PlanError, match="factors begin with 1 and rise"):
        Live(segmenter, deadline_ms=200, factors=factors)


@pytest.mark.slow
def test_a_soak_of_real_frames_keeps_its_books(make_plan, make_network, configuration):
    """Four hundred frames by the clock of this process: what else the machine does is not counted."""
    plan = make_plan({"2d": configuration((64, 64, 1), slice_axis=2)}, orientation="LPS")
    segmenter = Segmenter(plan, {"2d": [make_network(1, 3, dims=2)]}, precision="fp32")
    live = Live(segmenter, deadline_ms=500, clock=time.process_time)
    grid = Geometry.of_image((64, 64))
    live.warm_up(grid)
    rng = np.random.default_rng(0)
    frames = (Volume(rng.normal(3, 1, (1, 64, 64, 1)), grid, ("T1",)) for _ in range(400))
    results = list(live.results(frames))
    summary = live.summary()
    assert [result.number for result in results] == list(range(400))
    assert summary.frames == 400
    assert summary.full + summary.reduced + summary.repeated == 400  # frames come when asked for: none waits
    # Jitter by counts: how many frames take less than twice the median.
    computed = [result.latency_s for result in results if result.is_computed]
    median = sorted(computed)[len(computed) // 2]
    assert sum(latency < 2 * median for latency in computed) > 0.9 * len(computed)
