"""Workers are judged on known answers; who fails takes no part, and who is better counts more."""

import numpy as np
import pytest

from delineate.errors import DataError, GeometryError
from delineate.evaluation.raters import FusionRules, GoldRules, fuse, judge_workers
from delineate.space import Geometry, LabelMap, LabelSchema

SCHEMA = LabelSchema.of("lesion")
GRID = Geometry((24, 24, 24), np.eye(4))


def map_of(array, grid=GRID):
    return LabelMap(np.asarray(array, np.uint8), grid, SCHEMA)


def ball(radius=8):
    place = np.moveaxis(np.indices(GRID.shape), 0, -1) - 11.5
    return np.linalg.norm(place, axis=-1) < radius


def noisy(truth, sensitivity, specificity, rng):
    return np.where(truth, rng.random(truth.shape) < sensitivity, rng.random(truth.shape) >= specificity)


def crowd_of(qualities, tasks=4, rules=None, seed=0):
    rng = np.random.default_rng(seed)
    cases = {
        f"gold_{n}": (map_of(ball()), {w: map_of(noisy(ball(), *q, rng)) for w, q in qualities.items()})
        for n in range(tasks)
    }
    return judge_workers(list(cases), cases.__getitem__, list(qualities), rules or GoldRules())


def test_who_is_below_the_score_takes_no_part():
    crowd = crowd_of({"good": (0.95, 0.99), "poor": (0.5, 0.9)})
    good, poor = crowd.workers
    assert good.passes
    assert not poor.passes
    assert poor.weight == 0
    assert "below 0.7" in poor.why
    assert list(crowd.weights) == ["good"]
    assert "| poor | 4 |" in crowd.to_markdown()


def test_the_score_is_a_choice():
    workers = {"good": (0.95, 0.99), "poor": (0.5, 0.9)}
    assert list(crowd_of(workers, rules=GoldRules(least=0.1)).weights) == ["good", "poor"]


def test_weights_are_the_log_odds_of_being_right_drawn_towards_a_coin():
    (worker,) = crowd_of({"good": (0.9, 0.9)}, tasks=8).workers
    assert worker.right == pytest.approx((8 * 0.9 + 1) / 10, abs=0.01)
    assert worker.weight == pytest.approx(np.log(worker.right / (1 - worker.right)))


def test_many_tasks_earn_more_trust_than_two():
    few, many = (crowd_of({"good": (0.99, 0.99)}, tasks=tasks).weights["good"] for tasks in (2, 12))
    assert many > 1.5 * few


def test_who_did_no_gold_task_takes_no_part():
    cases = {"gold": (map_of(ball()), {"ann": map_of(ball())})}
    crowd = judge_workers(["gold"], cases.__getitem__, ["ann", "eve"])
    assert [worker.name for worker in crowd.workers if worker.passes] == ["ann"]
    assert crowd.workers[1].why == "did 0 of the 1 tasks with a known answer that are asked for"
    assert crowd.workers[1].score is None
    with pytest.raises(DataError, match="nobody takes part: ann: did 1 of the 2 tasks"):
        judge_workers(["gold"], cases.__getitem__, ["ann"], GoldRules(tasks=2))


def test_who_overlaps_but_is_right_no_more_often_than_a_coin_takes_no_part():
    """All of a tight field of view: everything is found, and nothing is left out."""
    whole = np.ones(GRID.shape)
    cases = {
        "gold": (
            map_of(ball(12) & (np.indices(GRID.shape)[0] > 4)),
            {"ann": map_of(whole), "bob": map_of(ball(12))},
        )
    }
    crowd = judge_workers(["gold"], cases.__getitem__, ["ann", "bob"], GoldRules(least=0.3, margin_mm=0))
    assert crowd.workers[0].score > 0.3
    assert crowd.workers[0].why == "right no more often than a coin"


def test_nothing_drawn_where_there_is_nothing_is_right():
    empty = np.zeros(GRID.shape)
    cases = {"gold": (map_of(empty), {"ann": map_of(empty), "bob": map_of(ball())})}
    crowd = judge_workers(["gold"], cases.__getitem__, ["ann", "bob"])
    assert [worker.score for worker in crowd.workers] == [1.0, 0.0]
    assert list(crowd.weights) == ["ann"]


def test_weighted_workers_are_right_more_often_than_a_plain_majority():
    """Two good workers among three poor ones, whose majority is often wrong."""
    qualities = {"a": (0.97, 0.97), "b": (0.95, 0.95), "c": (0.62, 0.8), "d": (0.62, 0.8), "e": (0.62, 0.8)}
    weights = crowd_of(qualities, tasks=10, rules=GoldRules(least=0.2)).weights
    assert len(weights) == 5
    rng = np.random.default_rng(9)
    maps = {worker: map_of(noisy(ball(), *quality, rng)) for worker, quality in qualities.items()}
    rules = FusionRules(method="majority")
    plain, weighted = (
        fuse(maps, rules, weights=given).labels(maps["a"]).array != ball() for given in (None, weights)
    )
    assert weighted.sum() < 0.6 * plain.sum()


def test_without_tasks_nobody_is_judged():
    with pytest.raises(DataError, match="no task with a known answer"):
        judge_workers([], {}.__getitem__, ["ann"])


def test_another_grid_than_the_answer_is_refused():
    other = Geometry((24, 24, 23), np.eye(4))
    cases = {"gold": (map_of(ball()), {"ann": map_of(np.ones(other.shape), other)})}
    with pytest.raises(GeometryError, match="gold: the known answer and ann labelled different grids"):
        judge_workers(["gold"], cases.__getitem__, ["ann"])
