"""Matching: the sparse table against trying all pairs, who is whose partner, and what is refused."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.errors import DataError, GeometryError
from delineate.evaluation import Overlaps
from delineate.evaluation.objects.matching import claimed

SHAPE = (5, 6, 2)
ids = hnp.arrays(np.int32, SHAPE, elements=st.sampled_from([0, 0, 3, 7, 8, 50000]))
known = hnp.arrays(bool, SHAPE, elements=st.booleans())


def brute_force(reference, prediction, judged):
    """{(reference id, prediction id): voxels in both}, and the sizes of both."""
    sizes = [
        {int(i): int((a == i)[judged].sum()) for i in np.unique(a) if i and (a == i)[judged].any()}
        for a in (reference, prediction)
    ]
    shared = {
        (r, p): int(((reference == r) & (prediction == p) & judged).sum()) for r in sizes[0] for p in sizes[1]
    }
    return sizes, {pair: voxels for pair, voxels in shared.items() if voxels}


@given(ids, ids, known)
def test_the_table_is_that_of_trying_all_pairs(reference, prediction, judged):
    found = Overlaps.of(reference, prediction, judged)
    sizes, shared = brute_force(reference, prediction, judged)
    assert dict(zip(found.reference_ids.tolist(), found.reference_sizes.tolist(), strict=True)) == sizes[0]
    assert dict(zip(found.prediction_ids.tolist(), found.prediction_sizes.tolist(), strict=True)) == sizes[1]
    names = zip(found.reference_ids[found.rows], found.prediction_ids[found.columns], strict=True)
    assert {(int(r), int(p)): int(s) for (r, p), s in zip(names, found.shared, strict=True)} == shared
    for (r, p), iou in zip(shared, found.iou, strict=True):
        assert iou == shared[r, p] / (sizes[0][r] + sizes[1][p] - shared[r, p])


@given(ids, ids)
def test_the_other_way_round_it_is_the_same_table_turned(reference, prediction):
    one, other = Overlaps.of(reference, prediction), Overlaps.of(prediction, reference)
    assert sorted(zip(one.rows, one.columns, one.shared, strict=True)) == sorted(
        zip(other.columns, other.rows, other.shared, strict=True)
    )


@given(ids, ids, st.integers(0, 2))
def test_mirrors_and_names_change_nothing(reference, prediction, axis):
    def scores(a, b):
        found = Overlaps.of(a, b)
        return sorted(found.iou.tolist()), sorted(found.iou[found.assigned].tolist())

    names = np.array([0, *np.random.default_rng(0).permutation(np.arange(1, 60001))])
    assert scores(reference, prediction) == scores(np.flip(reference, axis), np.flip(prediction, axis))
    assert scores(reference, prediction)[0] == scores(names[reference], names[prediction])[0]


@given(ids, ids)
def test_above_one_half_no_object_has_two_partners(reference, prediction):
    found = Overlaps.of(reference, prediction).matched(0.5)
    assert len(set(found.rows.tolist())) == len(found.rows) == len(set(found.columns.tolist()))


@given(ids, ids)
def test_below_it_the_sum_of_iou_is_the_largest_there_is(reference, prediction):
    found = Overlaps.of(reference, prediction)
    table = np.zeros((4, 4))
    table[found.rows, found.columns] = found.iou
    largest = max(sum(table[n, m] for n, m in enumerate(order)) for order in permutations(range(4)))
    assert found.iou[found.assigned].sum() == pytest.approx(largest)
    assert len(set(found.rows[found.assigned].tolist())) == len(found.assigned)
    assert len(set(found.columns[found.assigned].tolist())) == len(found.assigned)


@given(ids, ids)
def test_the_nearest_of_each_is_the_one_with_most_iou(reference, prediction):
    found = Overlaps.of(reference, prediction)
    table = np.zeros((4, 4))
    table[found.rows, found.columns] = found.iou
    assert found.rows[found.nearest].tolist() == sorted(set(found.rows.tolist()))
    for pair in found.nearest:
        assert found.iou[pair] == table[found.rows[pair]].max()


def test_pairs_that_are_too_small_to_count_take_part_in_the_assignment_or_do_not():
    """Two pairs of IoU 0.19 are worth more than one of 0.22, unless 0.2 is asked for first."""
    voxels = {(1, 1): 36, (1, 2): 32, (2, 1): 32, (1, 0): 32, (2, 0): 68, (0, 1): 32, (0, 2): 68}
    reference, prediction = np.repeat(np.array(list(voxels)), list(voxels.values()), axis=0).T
    found = Overlaps.of(reference, prediction)
    assert found.iou == pytest.approx([36 / 164, 32 / 168, 32 / 168])
    assert len(found.matched(0.15).iou) == len(found.matched(0.15, "exceeding").iou) == 2
    assert found.matched(0.2).missed == found.matched(0.2).invented == 2
    assert found.matched(0.2, "exceeding").iou == pytest.approx([36 / 164])


def test_more_objects_than_a_whole_table_would_hold():
    count = 2100  # a table of all pairs would have more cells than are counted at once
    line = np.arange(1, count + 1).reshape(-1, 1, 1) * 17
    found = Overlaps.of(np.repeat(line, 2, 1), np.repeat(line[::-1], 2, 1))
    assert found.iou.tolist() == [1.0] * count
    assert found.columns.tolist() == list(range(count))[::-1]


def test_ids_may_be_of_any_whole_kind():
    array = np.array([[[0], [2], [2]]])
    for kind in (np.uint8, np.int16, np.uint16, np.int64, np.uint64):
        assert Overlaps.of(array.astype(kind), array.astype(np.int32)).iou.tolist() == [1.0]


def test_an_object_that_nobody_could_judge_is_not_there_and_one_mostly_so_is_not_wrong():
    reference = np.zeros((1, 12, 1), int)
    prediction = reference.copy()
    prediction[0, 0:3], prediction[0, 4:8], prediction[0, 8:12] = 5, 6, 7
    judged = np.ones(reference.shape, bool)
    judged[0, 0:3] = False  # all of 5
    judged[0, 4:7] = False  # most of 6
    judged[0, 8:10] = False  # half of 7
    found = Overlaps.of(reference, prediction, judged)
    assert found.prediction_ids.tolist() == [6, 7]
    assert found.unjudged.tolist() == [True, False]
    assert found.matched(0.5).invented == 1


def test_an_unjudged_object_with_a_partner_is_right():
    array = np.zeros((1, 9, 1), int)
    array[0, 2:9] = 4
    judged = np.ones(array.shape, bool)
    judged[0, 4:] = False
    reference = np.where(judged, array, 0)
    found = Overlaps.of(reference, array, judged)
    assert found.unjudged.tolist() == [True]
    assert (len(found.matched(0.5).iou), found.matched(0.5).invented) == (1, 0)


def test_some_of_the_objects_have_the_table_of_themselves(maps):
    reference, prediction = maps.instance_pair(4)
    whole = Overlaps.of(reference, prediction)
    here, there = whole.reference_ids % 2 == 0, whole.prediction_ids % 3 > 0
    part = whole.among(here, there)
    alone = Overlaps.of(
        np.where(np.isin(reference, whole.reference_ids[here]), reference, 0),
        np.where(np.isin(prediction, whole.prediction_ids[there]), prediction, 0),
    )
    for name in ("reference_ids", "prediction_ids", "reference_sizes", "prediction_sizes", "shared", "rows"):
        assert np.array_equal(getattr(part, name), getattr(alone, name)), name


@pytest.mark.parametrize("shape", [(0, 3, 1), (1, 1, 1), (4, 4, 4)])
def test_nothing_at_all_is_no_pair(shape):
    found = Overlaps.of(np.zeros(shape, int), np.zeros(shape, int))
    assert not len(found.iou)
    assert not len(found.assigned)
    assert not len(found.nearest)
    assert found.matched(0.1).missed == found.matched(0.7).invented == 0


def test_candidates_choose_in_the_order_of_their_scores():
    rows, columns = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 2])
    worth = np.array([0.6, 0.9, 0.5, 0.3])
    assert claimed(rows, columns, worth, np.array([0.9, 0.8, 0.1])).tolist() == [True, False, True]
    # The first takes the first lesion, for which the second would have been better; the third gets the other.
    assert claimed(rows, columns, worth, np.array([0.5, 0.8, 0.1])).tolist() == [True, True, False]


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(GeometryError, match=r"one shape, got \(2, 2, 1\) and \(2, 3, 1\)"):
        Overlaps.of(np.zeros((2, 2, 1), int), np.zeros((2, 3, 1), int))


def test_negative_ids_are_refused():
    with pytest.raises(DataError, match="positive and 0 is background, got -2"):
        Overlaps.of(np.array([[[-2]]]), np.array([[[1]]]))


@pytest.mark.parametrize("threshold", [-0.1, 1.0])
def test_an_iou_that_cannot_be_exceeded_is_refused(threshold):
    with pytest.raises(DataError, match=f"at least 0 and below 1, got {threshold}"):
        Overlaps.of(np.ones((1, 1, 1), int), np.ones((1, 1, 1), int)).matched(threshold)
