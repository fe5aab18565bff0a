"""Detection in one scan: candidates from probabilities, what they hit, and what is refused."""

import numpy as np
import pytest
from pydantic import ValidationError

from delineate.errors import DataError, GeometryError
from delineate.evaluation import DetectionRules, InstanceMap, find_candidates, scored
from delineate.evaluation.objects.detection import detect
from delineate.space import Geometry, Volume

GRID = Geometry((24, 8, 6), np.diag([2.0, 1.0, 1.0, 1.0]))


def objects(*boxes, **known):
    """Objects of (id, start, stop) along the first axis."""
    array = np.zeros(GRID.shape, int)
    for number, start, stop in boxes:
        array[start:stop, 2:5, 2:5] = number
    return InstanceMap(array, GRID, **known)


def probability(*boxes, channels=("lesion",)):
    """A map of (probability, start, stop), the same in all channels."""
    array = np.zeros(GRID.shape, np.float32)
    for value, start, stop in boxes:
        array[start:stop, 2:5, 2:5] = value
    return Volume(np.stack([array] * len(channels)), GRID, channels)


def test_candidates_are_the_pieces_above_a_threshold():
    found = find_candidates(probability((0.05, 0, 3), (0.4, 5, 8), (0.9, 8, 9), (0.3, 15, 18)))
    assert found.scores == pytest.approx({1: 0.9, 2: 0.3})
    assert (found.array == 1).sum() == 4 * 9
    mean = find_candidates(probability((0.4, 5, 8), (0.8, 8, 9)), score="mean")
    assert mean.scores == pytest.approx({1: 0.5})


def test_a_lower_threshold_joins_candidates():
    two_peaks = probability((0.9, 4, 6), (0.2, 6, 8), (0.8, 8, 10))
    assert len(find_candidates(two_peaks, threshold=0.5).ids) == 2
    assert len(find_candidates(two_peaks, threshold=0.1).ids) == 1


def test_nothing_above_the_threshold_is_no_candidate():
    found = find_candidates(probability())
    assert found.scores == {}
    assert detect(objects((1, 2, 4)), found, "a").best.tolist() == [-np.inf]


def test_objects_of_a_prediction_get_the_probabilities_within_them():
    found = scored(objects((7, 2, 4), (9, 10, 12)), probability((0.6, 3, 4), (0.2, 10, 11)), score="mean")
    assert found.scores == pytest.approx({7: 0.3, 9: 0.1})


def test_a_channel_is_named_where_there_are_several():
    several = probability((0.5, 2, 4), channels=("background", "lesion"))
    assert find_candidates(several, channel="lesion").scores == {1: 0.5}
    with pytest.raises(DataError, match="one of the channels background, lesion, got None"):
        find_candidates(several)
    with pytest.raises(DataError, match="one of the channels lesion, got 'tumour'"):
        find_candidates(probability(), channel="tumour")


def test_objects_and_probabilities_share_a_grid():
    moved = Volume(np.zeros((1, *GRID.shape)), Geometry(GRID.shape, np.eye(4)), ("lesion",))
    with pytest.raises(GeometryError, match="objects and probabilities are on different grids"):
        scored(objects((1, 2, 4)), moved)


def test_a_hit_needs_its_overlap():
    lesions = objects((1, 0, 10))
    candidates = objects((5, 9, 19), scores={5: 0.7})  # IoU 1 / 19
    assert detect(lesions, candidates, "a").false_alarms.tolist() == [True]
    touching = detect(lesions, candidates, "a", rules=DetectionRules(hit=0.0))
    assert touching.best.tolist() == [0.7]
    assert touching.lesion_ml == pytest.approx([0.18])


def test_a_hit_may_be_the_centre():
    lesions = objects((4, 2, 4), (9, 10, 12))
    candidates = objects((1, 0, 7), (2, 11, 20), scores={1: 0.6, 2: 0.9})
    found = detect(lesions, candidates, "a", rules=DetectionRules(hit="center"))
    assert found.best.tolist() == [0.6, -np.inf]
    assert found.false_alarms.tolist() == [False, True]
    nothing = detect(lesions, objects(scores={}), "a", rules=DetectionRules(hit="center"))
    assert nothing.best.tolist() == [-np.inf] * 2


def test_a_second_hit_is_no_false_alarm_but_it_is_not_right_either():
    lesions = objects((1, 0, 10))
    candidates = objects((5, 0, 5), (6, 5, 10), scores={5: 0.4, 6: 0.8})
    found = detect(lesions, candidates, "a")
    assert found.best.tolist() == [0.8]
    assert found.false_alarms.tolist() == [False, False]
    assert found.right.tolist() == [False, True]


def test_one_candidate_over_two_lesions_finds_both_and_is_right_once():
    lesions = objects((1, 0, 4), (2, 6, 10))
    found = detect(lesions, objects((5, 0, 10), scores={5: 0.4}), "a")
    assert found.best.tolist() == [0.4, 0.4]
    assert found.right.tolist() == [True]


def test_what_lies_where_nobody_looked_is_no_false_alarm():
    lesions = objects((1, 0, 4), (99, 12, 20), ignore=99)
    candidates = objects((5, 0, 4), (6, 11, 18), scores={5: 0.4, 6: 0.9})
    found = detect(lesions, candidates, "a")
    assert found.false_alarms.tolist() == [False, False]
    assert found.unjudged.tolist() == [False, True]


def test_candidates_without_scores_are_refused():
    with pytest.raises(DataError, match="a: candidates have no scores"):
        detect(objects((1, 0, 4)), objects((1, 0, 4)), "a")
    assert len(detect(objects((1, 0, 4)), objects(), "a").scores) == 0


def test_rules_that_cannot_be_are_refused():
    with pytest.raises(ValidationError, match=r"rates ascend, got \[1.0, 0.5\]"):
        DetectionRules(rates=(1.0, 0.5))
    with pytest.raises(ValidationError, match="less than 1"):
        DetectionRules(hit=1.0)
    assert DetectionRules(hit="center").words == "centre in the lesion"
    assert DetectionRules().words == "IoU > 0.1"
