"""Instances: the golden pair, the definitions tried out on all pairs, two peers, and perturbed nuclei."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from scipy import ndimage
from scipy.optimize import linear_sum_assignment

from delineate.errors import DataError, GeometryError
from delineate.evaluation import InstanceMap, InstanceRules, Overlaps
from delineate.evaluation.objects.instances import Tally, compare_instances, instance_measures
from delineate.space import Geometry

SHAPE = (6, 7, 1)
ids = hnp.arrays(np.int32, SHAPE, elements=st.sampled_from([0, 0, 2, 5, 9]))


def measured(reference, prediction, **rules):
    """Measure -> value, NaN where missing."""
    rules = InstanceRules(**rules)
    tally = Tally.of(Overlaps.of(reference, prediction), rules)
    return {measure.name: float(measure.of(tally)) for measure in instance_measures(rules)}


# --- the definitions, tried out on all pairs of masks


def masks(array):
    return [array == number for number in np.unique(array) if number]


def iou_of(a, b):
    return (a & b).sum() / (a | b).sum()


def naive_quality(reference, prediction, threshold):
    """DQ, SQ, PQ of Kirillov 2019; below one half with the assignment of Graham 2019."""
    ours, theirs = masks(reference), masks(prediction)
    table = np.array([[iou_of(a, b) for b in theirs] for a in ours]).reshape(len(ours), len(theirs))
    if threshold >= 0.5:
        pairs = [tuple(pair) for pair in np.argwhere(table > threshold)]
    else:
        chosen = zip(*linear_sum_assignment(-table), strict=True)
        pairs = [pair for pair in chosen if table[pair] > threshold]
    found = len(pairs)
    quality = sum(table[pair] for pair in pairs)
    objects = found + (len(ours) - found) / 2 + (len(theirs) - found) / 2
    return found / objects, quality / found if found else np.nan, quality / objects


def naive_aji(reference, prediction, *, unique):
    """Kumar 2017; with `unique` the AJI+ of Graham 2019, no prediction used twice."""
    ours, theirs = masks(reference), masks(prediction)
    table = np.array([[iou_of(a, b) for b in theirs] for a in ours]).reshape(len(ours), len(theirs))
    if unique:
        chosen = zip(*linear_sum_assignment(-table), strict=True)
        partner = {n: m for n, m in chosen if table[n, m] > 0}
    else:
        partner = {n: int(row.argmax()) for n, row in enumerate(table) if row.any()}
    joint = union = 0
    for n, mask in enumerate(ours):
        if n in partner:
            joint += (mask & theirs[partner[n]]).sum()
            union += (mask | theirs[partner[n]]).sum()
        else:
            union += mask.sum()
    union += sum(mask.sum() for m, mask in enumerate(theirs) if m not in partner.values())
    return joint / union


def test_one_match_one_missed_one_invented():
    reference, prediction = np.zeros((10, 10, 1), int), np.zeros((10, 10, 1), int)
    reference[0, 0:8], prediction[0, 2:10] = 7, 30  # 6 of 10
    reference[5, 0:3], prediction[8, 0:4] = 2, 9
    found = measured(reference, prediction)
    assert (found["dq"], found["sq"], found["pq"]) == pytest.approx((0.5, 0.6, 0.3))
    assert found["f1@0.5"] == pytest.approx(0.5)
    assert found["ap@0.5"] == pytest.approx(1 / 3)
    assert found["ap"] == pytest.approx(2 / 30)  # at 0.5 and 0.55; 0.6 is not above 0.6
    assert found["aji"] == found["aji_plus"] == pytest.approx(6 / 17)
    assert found["instances_missed"] == found["instances_invented"] == 1


@pytest.mark.parametrize("seed", range(40))
def test_qualities_are_those_of_their_definitions(maps, seed):
    reference, prediction = maps.instance_pair(seed)
    for threshold in (0.5, 0.7, 0.3, 0.1):
        found = measured(reference, prediction, iou=threshold)
        expected = naive_quality(reference, prediction, threshold)
        assert (found["dq"], found["sq"], found["pq"]) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert found["aji"] == pytest.approx(naive_aji(reference, prediction, unique=False), abs=1e-12)
    assert found["aji_plus"] == pytest.approx(naive_aji(reference, prediction, unique=True), abs=1e-12)


@pytest.mark.parametrize("seed", range(36))
def test_panoptica_says_the_same(maps, said_by, seed):
    reference, prediction = maps.instance_pair(seed)
    said = said_by("panoptica")[str(seed)]
    assert maps.digest(reference, prediction) == said["maps"], "other maps than those that the peer saw"
    for name, threshold in (("0.5", 0.5), ("0.3 assigned", 0.3), ("0.1 assigned", 0.1)):
        below = float(np.nextafter(threshold, 0))  # to panoptica an IoU that is equal is enough
        found = measured(reference, prediction, iou=below, assignment="exceeding")
        if not said[name][0]:
            assert np.isnan(found.pop("sq"))  # of nothing; panoptica has 0
            found["sq"] = 0.0
        names = ("dq", "sq", "pq", "instance_precision", "instance_recall", "voxel_dice")
        assert [found[name] for name in names] == pytest.approx(said[name][3:], abs=1e-9)
        assert [found["instances_invented"], found["instances_missed"]] == said[name][1:3]


@pytest.mark.parametrize("seed", range(30))
def test_monai_says_the_same(maps, seed):
    torch = pytest.importorskip("torch")
    from monai.metrics.panoptic_quality import compute_panoptic_quality

    reference, prediction = maps.instance_pair(seed)
    for threshold in (0.5, 0.3):
        said = compute_panoptic_quality(
            torch.from_numpy(prediction.copy()),
            torch.from_numpy(reference.copy()),
            match_iou_threshold=threshold,
            output_confusion_matrix=True,
        ).tolist()
        tally = Tally.of(Overlaps.of(reference, prediction), InstanceRules(iou=threshold))
        ours = [float(x) for x in (tally.found, tally.invented, tally.missed, tally.iou)]
        assert ours == pytest.approx(said, rel=1e-6)


@given(ids)
def test_a_map_against_itself_is_perfect(array):
    found = measured(array, array)
    perfect = 1.0 if array.any() else np.nan
    for name in ("pq", "sq", "dq", "aji", "aji_plus", "ap", "f1@0.95", "voxel_dice", "instance_recall"):
        assert found[name] == pytest.approx(perfect, nan_ok=True)
    assert found["instances_merged"] == found["instances_split"] == 0


@given(ids, ids)
def test_pq_is_dq_times_sq_and_f1_falls_with_the_threshold(reference, prediction):
    found = measured(reference, prediction)
    if not np.isnan(found["sq"]):
        assert found["pq"] == pytest.approx(found["dq"] * found["sq"])
    ranks = [found[f"f1@{t:g}"] for t in InstanceRules().thresholds]
    if not np.isnan(ranks).any():
        assert ranks == sorted(ranks, reverse=True)
        assert found["dq"] == found["f1@0.5"]


# --- perturbations with an answer that can be computed


@pytest.fixture
def cells():
    """Nine squares of 36 voxels, far apart, with ids that have gaps."""
    array = np.zeros((40, 40, 1), np.int32)
    for n in range(9):
        i, j = 4 + 12 * (n // 3), 4 + 12 * (n % 3)
        array[i : i + 6, j : j + 6] = 11 * n + 3
    return array


def test_what_is_left_out_is_missed(cells):
    prediction = np.where(np.isin(cells, [3, 14]), 0, cells)
    found = measured(cells, prediction)
    assert found["instances_missed"] == 2
    assert found["dq"] == pytest.approx(7 / 8)
    assert found["aji"] == found["ap"] == pytest.approx(7 / 9)
    assert found["instance_precision"] == 1


def test_two_taken_for_one_are_merged_and_dice_does_not_see_it(cells):
    prediction = np.where(cells == 14, 3, cells)
    found = measured(cells, prediction)
    assert found["voxel_dice"] == 1
    assert found["instances_merged"] == 1
    assert found["instances_missed"] == 2  # half of the union is not above one half
    assert found["instances_invented"] == 1
    assert found["f1@0.5"] == pytest.approx(14 / 17)
    # The first of the two has the pair; both point at it in AJI: 36 of 72 twice.
    assert found["aji"] == pytest.approx((7 * 36 + 2 * 36) / (7 * 36 + 2 * 72))
    assert found["aji_plus"] == pytest.approx((7 * 36 + 36) / (7 * 36 + 72 + 36))


def test_one_cut_in_two_is_split(cells):
    prediction = cells.copy()
    prediction[4:6, 4:10] = 5000  # a third of the first
    found = measured(cells, prediction)
    assert found["instances_split"] == 1
    assert (found["instances_missed"], found["instances_invented"]) == (0, 1)
    assert found["sq"] == pytest.approx((8 + 24 / 36) / 9)
    assert found["f1@0.7"] == pytest.approx(16 / 19)


def test_real_nuclei_without_their_rims_have_the_computed_quality(nuclei, thinned):
    for name, found in nuclei.items():
        thin = thinned(found.array[..., 0])[..., None]
        values = measured(found.array, thin)
        before, after = (
            np.bincount(a.ravel(), minlength=found.array.max() + 1)[1:] for a in (found.array, thin)
        )
        share = after[before > 0] / before[before > 0]
        kept = share[share > 0.5]
        objects = len(kept) + (len(share) - len(kept) + np.count_nonzero(share > 0) - len(kept)) / 2
        assert values["pq"] == pytest.approx(kept.sum() / objects), name
        assert values["aji"] == pytest.approx(after.sum() / before.sum()), name


def test_real_nuclei_as_connected_pieces_lose_those_that_touch(nuclei, pieces):
    """What a semantic mask cannot say: how many nuclei a clump is."""
    for name, found in nuclei.items():
        array = found.array
        labelled, count = pieces(array[..., 0] > 0)
        values = measured(array, labelled[..., None])
        members = ndimage.labeled_comprehension(
            array[..., 0], labelled, np.arange(1, count + 1), lambda x: len(np.unique(x)), int, 0
        )
        assert values["instances_merged"] == np.count_nonzero(members > 1), name
        assert values["voxel_dice"] == 1, name
        assert values["instances_prediction"] == count


# --- maps with kinds, unjudged voxels, and maps that are refused


def test_kinds_are_compared_with_their_own(instance_map):
    reference = np.array([[1, 1, 0, 2, 2, 0, 3, 3]])
    kinds = {1: "epithelial", 2: "inflammatory", 3: "inflammatory"}
    one = instance_map(reference, kinds=kinds)
    other = instance_map(reference, kinds=kinds | {2: "epithelial"})
    found = compare_instances(one, other, "a")
    assert len(found.of_kind("all objects").overlaps.iou) == 3
    inflammatory = found.of_kind("inflammatory").overlaps
    assert inflammatory.reference_ids.tolist() == [2, 3]
    assert inflammatory.prediction_ids.tolist() == [3]
    assert found.of_kind("epithelial").overlaps.matched(0.5).invented == 1


def test_what_is_ignored_in_the_reference_counts_for_nothing(instance_map):
    reference = np.array([[1, 1, 0, 255, 255, 255, 255, 2, 2]])
    prediction = np.array([[5, 5, 0, 9, 9, 9, 0, 7, 7]])
    found = compare_instances(instance_map(reference, ignore=255), instance_map(prediction), "a").overlaps
    assert found.prediction_ids.tolist() == [5, 7]
    assert found.iou.tolist() == [1.0, 1.0]


def test_different_grids_are_refused(instance_map):
    array = np.ones((2, 2, 1), int)
    moved = InstanceMap(array, Geometry((2, 2, 1), np.diag([2.0, 1, 1, 1])))
    with pytest.raises(
        GeometryError,
        match=r"(?s)a: reference .* 2 x 1 x 1 mm\), RAS, the first at \(0, 0, 0\) mm.*not resampled",
    ):
        compare_instances(instance_map(array), moved, "a")


def test_kinds_in_one_map_only_are_refused(instance_map):
    array = np.ones((2, 2, 1), int)
    with pytest.raises(DataError, match="a: kinds of objects are given in one of the two maps only"):
        compare_instances(instance_map(array, kinds={1: "cell"}), instance_map(array), "a")


def test_rules_that_cannot_be_are_refused():
    with pytest.raises(ValidationError, match="thresholds must differ"):
        InstanceRules(thresholds=(0.5, 0.5))
    with pytest.raises(ValidationError, match="less than 1"):
        InstanceRules(iou=1.0)
