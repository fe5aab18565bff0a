"""Batches come in order, the same whoever makes them, and trouble reaches the one who waits."""

import threading
import time

import numpy as np
import pytest
import torch

from delineate.errors import DataError, PlanError
from delineate.preparation.batches import Batches
from delineate.preparation.patches import Sampler


@pytest.fixture(scope="module")
def store(memory_case, memory_store):
    cases = {}
    for n in range(3):
        rng = np.random.default_rng(n)
        image = rng.normal(size=(1, 14, 12, 13)).astype(np.float32)
        cases[f"case_{n}"] = memory_case(image, rng.integers(0, 3, (14, 12, 13)))
    return memory_store(cases)


@pytest.fixture
def samples(sample_plan, store):
    return Sampler.of(sample_plan(elastic_probability=0.3), "3d_fullres", store, store.ids, fold=0)


class Slow:
    """A store in which every case takes its time, by a number that no one can guess."""

    def __init__(self, store, pauses):
        self.store, self.pauses, self.threads = store, iter(pauses), set()

    def case(self, case_id, /):
        self.threads.add(threading.current_thread().name)
        time.sleep(next(self.pauses))
        return self.store.case(case_id)


def taken(batches, count):
    with batches:
        return [next(batches) for _ in range(count)]


def same(one, other):
    return all(
        torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels) and a.ids == b.ids
        for a, b in zip(one, other, strict=True)
    )


def test_batches_come_in_the_order_of_the_steps(samples):
    assert same(taken(Batches(samples, start_step=3), 4), [samples.batch(step) for step in range(3, 7)])


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_neither_workers_nor_their_timing_change_a_batch(sample_plan, store, samples, workers):
    pauses = np.random.default_rng(workers).exponential(0.002, 1000)
    slow = Slow(store, pauses)
    slowed = Sampler.of(sample_plan(elastic_probability=0.3), "3d_fullres", slow, store.ids, fold=0)
    made = taken(Batches(slowed, workers=workers), 10)
    assert same(made, [samples.batch(step) for step in range(10)])
    assert 1 <= len(slow.threads) <= workers


def test_any_batch_can_be_asked_for_again(samples):
    with Batches(samples, start_step=5) as batches:
        first = next(batches)
        assert same([first], [batches[5]])


def test_they_end_at_the_stop_step(samples):
    with Batches(samples, stop_step=3) as batches:
        assert len(list(batches)) == 3
    with Batches(samples, start_step=3, stop_step=3) as batches:
        assert list(batches) == []


def test_only_so_many_are_made_ahead(sample_plan, store):
    slow = Slow(store, np.zeros(10_000))
    seen = []
    samples = Sampler.of(sample_plan(), "3d_fullres", slow, store.ids, fold=0)

    class Counting(Sampler):
        def batch(self, step, device="cpu"):
            seen.append(step)
            return super().batch(step, device)

    counting = Counting(**{name: getattr(samples, name) for name in samples.__dataclass_fields__})
    with Batches(counting, workers=2, ahead=2) as batches:
        next(batches)
        time.sleep(0.2)
        assert sorted(seen) == [0, 1, 2, 3, 4]


def test_the_time_that_the_consumer_stood_still_is_added_up(samples):
    ticks = iter(range(100))
    with Batches(samples, clock=lambda: float(next(ticks))) as batches:
        assert batches.waited_s == 0
        next(batches), next(batches)
        assert batches.waited_s == 2.0


def test_closing_ends_the_workers_and_the_batches(samples):
    before = threading.active_count()
    batches = Batches(samples, workers=3)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    assert threading.active_count() == before
    assert list(batches) == []
    batches.close()  # once more does no harm


def test_workers_take_one_core_each_and_leave_the_callers_alone(samples):
    before, seen = torch.get_num_threads(), []

    class Asking(Sampler):
        def batch(self, step, device="cpu"):
            seen.append(torch.get_num_threads())
            return super().batch(step, device)

    asking = Asking(**{name: getattr(samples, name) for name in samples.__dataclass_fields__})
    try:
        torch.set_num_threads(2)
        with Batches(asking, workers=2, stop_step=6) as batches:
            assert torch.get_num_threads() == 2
            list(batches)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert seen == [1] * 6


def test_trouble_in_a_worker_reaches_the_consumer_with_the_case(sample_plan, store, memory_store):
    class Broken:
        ids = store.ids

        def case(self, case_id, /):
            if case_id == "case_1":
                raise OSError("disk gone")
            return store.case(case_id)

    samples = Sampler.of(sample_plan(), "3d_fullres", Broken(), store.ids, fold=0)
    with (
        pytest.raises(DataError, match=r"case_1: its prepared data could not be read: disk gone"),
        Batches(samples, workers=2) as batches,
    ):
        for _ in range(50):
            next(batches)
    assert not [t for t in threading.enumerate() if t.name.startswith("batches")]


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"ahead": 0}])
def test_no_workers_is_refused(samples, wrong):
    with pytest.raises(PlanError, match="at least one worker thread"):
        Batches(samples, **wrong)
