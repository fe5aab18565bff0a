"""Lesions: the golden case, BraTS' own script, an oracle without shortcuts, and what the rules change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pydantic import ValidationError
from scipy import ndimage

from delineate.errors import GeometryError
from delineate.evaluation import LesionRules, Lesions, area_distances
from delineate.evaluation.objects.findings import Detected
from delineate.evaluation.objects.lesions import BRATS, LESION_RULES
from delineate.space import Geometry

SHAPE = (9, 8, 6)
masks = hnp.arrays(bool, SHAPE, elements=st.sampled_from([False] * 6 + [True]))


def grid_of(array, spacing=(1, 1, 1)):
    return Geometry(array.shape, np.diag([*spacing, 1.0]))


def box(*parts, shape=(40, 40, 40)):
    """A mask of boxes (start, stop)."""
    mask = np.zeros(shape, bool)
    for start, stop in parts:
        mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
    return mask


def lesions(reference, prediction, rules, spacing=(1, 1, 1), **known):
    return Lesions.of(reference, prediction, grid_of(reference, spacing), rules, **known)


FIRST, SECOND = ((2, 2, 2), (7, 7, 6)), ((20, 20, 20), (25, 25, 24))  # 100 voxels each
STRAY = ((30, 35, 35), (35, 37, 36))  # 10 voxels


# --- golden


@pytest.mark.parametrize("task", BRATS)
def test_one_found_one_missed_one_invented(task):
    found = lesions(box(FIRST, SECOND), box(FIRST, STRAY), LesionRules.brats(task))
    assert found.dice() == pytest.approx(1 / 3)
    assert found.hd95() == pytest.approx(249.333333, abs=1e-6)
    both = box(FIRST, SECOND) & box(FIRST, STRAY)
    assert 2 * both.sum() / 310 == pytest.approx(0.645161, abs=1e-6)  # what Dice of voxels says
    assert (found.detected.found, found.detected.missed, found.detected.wrong) == (1, 1, 1)


REGIONS = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}


@pytest.mark.parametrize("seed", range(36))
def test_the_script_of_brats_says_the_same(maps, said_by, seed):
    (reference, prediction), spacing = maps.tumour_pair(seed)
    said = said_by("brats")[str(seed)]
    assert maps.digest(reference, prediction) == said["maps"], "other maps than those that the peer saw"
    for task in ("GLI", "MEN", "MET"):
        for region, values in REGIONS.items():
            pair = np.isin(reference, values), np.isin(prediction, values)
            found = lesions(*pair, LesionRules.brats(task), spacing)
            counts = found.detected
            ours = [found.dice("one"), found.hd95("one"), counts.found, counts.missed, found.invented.sum()]
            assert ours == pytest.approx(said[task][region][:5], abs=1e-6), (task, region)


def test_tasks_of_gliomas_share_their_rules():
    assert LesionRules.brats("GLI") == LesionRules.brats("SSA") == LesionRules.brats("PED")
    assert LesionRules.brats("MEN").margin == LesionRules.brats("MET").margin == 1
    assert LesionRules.brats("MET").smallest_mm3 == 2


# --- an oracle that takes no shortcut


def naive(reference, prediction, grid, rules, diagonal):
    """Lesion-wise Dice and HD95 on whole arrays, lesion by lesion; 1 and 0 where nothing is scored."""
    neighbours = ndimage.generate_binary_structure(3, {6: 1, 18: 2, 26: 3}[rules.connectivity])
    by_edges = ndimage.generate_binary_structure(3, 2)

    def grown(mask):
        for _ in range(rules.margin):
            mask = ndimage.binary_dilation(mask, by_edges)
        return mask

    areas, count = ndimage.label(grown(reference), neighbours)
    components, others = ndimage.label(prediction, neighbours)
    penalty = rules.penalty_mm or diagonal
    dices, distances, hit = [], [], set()
    for n in range(1, count + 1):
        lesion = reference & (areas == n)
        mine = {int(c) for c in np.unique(components[grown(lesion)]) if c}
        hit |= mine
        if lesion.sum() * grid.voxel_ml * 1000 <= rules.smallest_mm3 + 1e-9:
            continue
        found = np.isin(components, sorted(mine))
        dices.append(2 * (lesion & found).sum() / (lesion.sum() + found.sum()))
        apart = area_distances(lesion, found, grid)
        distances.append(apart.percentile_weighted() if apart else penalty)
    invented = others - len(hit)
    scored = len(dices) + invented
    if not scored:
        return 1.0, 0.0
    return sum(dices) / scored, (sum(distances) + invented * penalty) / scored


@given(
    masks,
    masks,
    st.sampled_from([6, 18, 26]),
    st.integers(0, 3),
    st.sampled_from([0.0, 2.0, 12.0]),
    st.sampled_from([(1, 1, 1), (0.7, 1.3, 3)]),
)
@settings(max_examples=60)
def test_scores_are_those_of_going_lesion_by_lesion(reference, prediction, connectivity, margin, least, size):
    rules = LesionRules(connectivity=connectivity, margin=margin, smallest_mm3=least)
    grid = grid_of(reference, size)
    found = Lesions.of(reference, prediction, grid, rules)
    expected = naive(reference, prediction, grid, rules, found.diagonal_mm)
    assert (found.dice("one"), found.hd95("one")) == pytest.approx(expected, abs=1e-9)


@given(masks, masks, st.integers(0, 2), st.integers(0, 3))
@settings(max_examples=30)
def test_mirrors_change_nothing(reference, prediction, axis, margin):
    rules = LesionRules(margin=margin)
    one = lesions(reference, prediction, rules)
    other = lesions(np.flip(reference, axis), np.flip(prediction, axis), rules)
    assert one.dice("one") == pytest.approx(other.dice("one"))
    assert one.hd95("one") == pytest.approx(other.hd95("one"))
    assert one.detected == other.detected


@given(masks, st.sampled_from([6, 18, 26]))
@settings(max_examples=30)
def test_without_a_margin_a_mask_against_itself_is_perfect(mask, connectivity):
    found = lesions(mask, mask, LesionRules(connectivity=connectivity))
    assert found.dice("one") == 1
    assert found.hd95("one") == 0
    assert found.detected.f1("one") == 1


@given(masks, masks, st.integers(0, 3))
@settings(max_examples=30)
def test_what_is_cut_from_the_scan_is_scored_as_in_the_scan(reference, prediction, margin):
    """A structure is cut to its box, one voxel around, before it is measured."""
    rules = LesionRules(margin=margin)
    wide = [np.pad(mask, 7) for mask in (reference, prediction)]
    inside = lesions(*wide, rules)
    cut = slice(6, -6)
    part = lesions(*(m[cut, cut, cut] for m in wide), rules, diagonal_mm=inside.diagonal_mm)
    assert part.dice("one") == pytest.approx(inside.dice("one"))
    assert part.hd95("one") == pytest.approx(inside.hd95("one"))
    assert part.pieces.tolist() == inside.pieces.tolist()


# --- what the rules change


def row(*lengths_and_gaps):
    """A mask along one axis: so many voxels there, so many not, and so on."""
    bits = [n % 2 == 0 for n, length in enumerate(lengths_and_gaps) for _ in range(length)]
    mask = np.zeros((64, 9, 9), bool)
    mask[4 : 4 + len(bits), 4, 4] = bits
    return mask


@pytest.mark.parametrize(("margin", "count"), [(0, 4), (1, 3), (2, 2), (3, 1)])
def test_the_merging_rule_changes_how_many_lesions_there_are(margin, count):
    mask = row(3, 2, 3, 4, 3, 6, 3)  # gaps of 2, 4 and 6 voxels
    found = lesions(mask, mask, LesionRules(margin=margin))
    assert len(found.pieces) == count
    assert found.pieces.sum() == 4
    assert found.detected.found == count


@pytest.mark.parametrize(("connectivity", "count"), [(6, 2), (18, 2), (26, 1)])
def test_connectivity_changes_how_many_lesions_there_are(connectivity, count):
    mask = box(((2, 2, 2), (4, 4, 4)), ((4, 4, 4), (6, 6, 6)), shape=(8, 8, 8))  # they share a corner
    assert len(lesions(mask, mask, LesionRules(connectivity=connectivity)).pieces) == count


def test_a_prediction_of_several_pieces_is_scored_as_one_with_its_lesion():
    reference, prediction = row(9), row(3, 3, 3)
    found = lesions(reference, prediction, LesionRules())
    assert found.dice() == pytest.approx(2 * 6 / (9 + 6))
    assert found.detected.right == 2


def test_one_prediction_that_covers_two_lesions_is_scored_with_both():
    reference, prediction = row(4, 3, 4), row(11)
    found = lesions(reference, prediction, LesionRules())
    assert found.dice() == pytest.approx(2 * 4 / 15)  # each against all of it
    assert [finding.lesions for finding in found.finding_table()] == [(1, 2)]
    assert found.detected.found == 2  # reached
    assert found.detected_by("paired", 0.3) == Detected(found=1, missed=1, right=1, wrong=0)
    assert found.detected_by("merged", 0.5).found == 2  # 8 of 11
    assert found.detected_by("covered", 0.5).found == 2


def test_what_reaches_only_the_margin_is_of_the_lesion_without_overlap():
    reference, prediction = row(4), row(0, 6, 4)
    apart = lesions(reference, prediction, LesionRules(margin=2))
    near = lesions(reference, prediction, LesionRules(margin=3))
    assert apart.hd95() == apart.penalty_mm
    assert not near.invented.any()
    assert near.dice() == 0
    assert near.hd95() < 10


def test_lesions_that_are_too_small_do_not_count_and_excuse_what_was_predicted_there():
    reference, prediction = row(8, 20, 2), row(8, 20, 2)
    found = lesions(reference, prediction, LesionRules(smallest_mm3=2))
    assert found.counted.tolist() == [True, False]
    assert found.dice() == 1
    assert (found.detected.right, found.detected.wrong) == (1, 0)
    assert [finding.is_right for finding in found.finding_table()] == [True, None]
    assert [lesion.is_counted for lesion in found.table()] == [True, False]


@pytest.mark.parametrize("turn", np.linspace(0.1, 1.4, 7))
def test_a_lesion_of_just_the_smallest_size_does_not_count_on_a_turned_grid_either(turn):
    affine = np.eye(4)
    affine[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    mask = row(50)
    found = Lesions.of(mask, mask, Geometry(mask.shape, affine), LesionRules.brats("GLI"))
    assert not found.counted.any()


def test_an_invented_component_costs_the_same_whatever_its_size():
    small = lesions(box(FIRST), box(FIRST, ((30, 30, 30), (31, 31, 31))), LesionRules.brats("GLI"))
    large = lesions(box(FIRST), box(FIRST, ((30, 30, 30), (38, 38, 38))), LesionRules.brats("GLI"))
    assert small.dice() == large.dice() == 0.5
    assert small.hd95() == large.hd95() == 187


def test_the_penalty_is_a_number_or_the_diagonal_of_the_grid():
    reference, prediction = box(FIRST), box()
    assert lesions(reference, prediction, LesionRules(penalty_mm=374)).hd95() == 374
    assert lesions(reference, prediction, LesionRules()).hd95() == pytest.approx(40 * 3**0.5)
    scan = Geometry((240, 240, 155), np.eye(4))
    whole = Lesions.of(np.zeros(scan.shape, bool), np.zeros(scan.shape, bool), scan, LesionRules())
    assert whole.penalty_mm == pytest.approx(373.13, abs=0.01)  # BraTS takes 374
    assert lesions(reference, prediction, LesionRules(), diagonal_mm=99.0).hd95() == 99


# --- degenerate inputs


@pytest.mark.parametrize(
    ("reference", "prediction", "policy", "dice", "hd95"),
    [
        (box(), box(), "missing", None, None),
        (box(), box(), "one", 1, 0),
        (box(), box(), "reference", None, None),
        (box(FIRST), box(), "missing", 0, 374),
        (box(FIRST), box(), "one", 0, 374),
        (box(), box(STRAY), "missing", 0, 374),
        (box(), box(STRAY), "one", 0, 374),
        (box(), box(STRAY), "reference", None, None),
        (box(STRAY), box(), "missing", None, None),  # 10 mm^3 do not count: nothing to find
        (box(STRAY), box(), "one", 1, 0),
        (box(STRAY), box(STRAY), "one", 1, 0),
    ],
)
def test_where_nothing_is_to_be_found_the_policy_says_what_that_is(reference, prediction, policy, dice, hd95):
    found = lesions(reference, prediction, LesionRules.brats("GLI"))
    assert found.dice(policy) == dice
    assert found.hd95(policy) == hd95


def test_a_single_voxel_at_the_corner_of_the_grid():
    mask = box(((0, 0, 0), (1, 1, 1)))
    for rules in (LesionRules(), LesionRules(margin=3), LesionRules(connectivity=6)):
        found = lesions(mask, mask, rules)
        assert (found.dice(), found.hd95()) == (1, 0)
        assert found.table()[0].center_mm == (0, 0, 0)


def test_in_a_picture_neighbours_are_those_of_the_plane():
    mask = np.zeros((9, 9, 1), bool)
    mask[1:3, 1:3], mask[3:5, 3:5] = True, True
    counts = [len(lesions(mask, mask, LesionRules(connectivity=c)).pieces) for c in (6, 18, 26)]
    assert counts == [2, 1, 1]
    moved = np.roll(mask, 1, 0)
    found = lesions(mask, moved, LesionRules())
    assert found.dice() == pytest.approx(2 * (mask & moved).sum() / 16)
    assert 0 < found.hd95() < 2


def test_what_nobody_annotated_is_in_neither_mask():
    reference, prediction = box(FIRST), box(FIRST, STRAY)
    known = ~box(((28, 30, 30), (40, 40, 40)))
    found = lesions(reference, prediction, LesionRules(), known=known)
    assert found.dice() == 1
    assert not found.invented.any()


def test_an_unknown_band_divides_a_component():
    known = np.ones((40, 40, 40), bool)
    known[4] = False
    found = lesions(box(FIRST), box(FIRST), LesionRules(), known=known)
    assert len(found.pieces) == 2
    assert found.dice() == 1


# --- tables


def test_the_table_says_what_became_of_every_lesion():
    spacing = (2.0, 1.0, 0.5)
    found = lesions(box(FIRST, SECOND), box(FIRST, STRAY), LesionRules.brats("GLI"), spacing)
    first, second = found.table()
    assert (first.number, first.pieces, first.findings, first.is_found) == (1, 1, (1,), True)
    assert (first.dice, first.hd95_mm, first.covered) == (1, 0, 1)
    assert first.volume_ml == pytest.approx(0.1)
    assert first.center_mm == pytest.approx((8, 4, 1.75))
    assert (second.findings, second.is_found, second.dice, second.hd95_mm) == ((), False, 0, 374)
    kept, stray = found.finding_table()
    assert (kept.lesions, kept.is_invented, kept.is_right) == ((1,), False, True)
    assert (stray.lesions, stray.is_invented, stray.is_right) == ((), True, False)
    assert stray.volume_ml == pytest.approx(0.01)


def test_the_mean_is_that_of_the_table(maps):
    (reference, prediction), spacing = maps.tumour_pair(3)
    found = lesions(reference > 0, prediction > 0, LesionRules.brats("MET"), spacing)
    scored = [lesion.dice for lesion in found.table() if lesion.is_counted]
    scored += [0.0 for finding in found.finding_table() if finding.is_invented]
    assert found.dice() == pytest.approx(np.mean(scored))


# --- real lesions


def test_real_lesions_as_they_are_taken_away(ms_lesions):
    """Every lesion that is taken out of the prediction takes one n-th of the score with it."""
    mask, grid = ms_lesions
    numbers, count = ndimage.label(mask, np.ones((3, 3, 3)))
    for taken in (0, 1, count // 3):
        prediction = mask & (numbers > taken)
        found = Lesions.of(mask, prediction, grid, LesionRules(penalty_mm=374))
        assert found.dice() == pytest.approx((count - taken) / count)
        assert found.hd95() == pytest.approx(374 * taken / count)
        assert found.detected.recall() == pytest.approx((count - taken) / count)


def test_real_lesions_are_fewer_the_wider_they_are_joined(ms_lesions):
    mask, grid = ms_lesions
    joined = [len(Lesions.of(mask, mask, grid, LesionRules(margin=m)).pieces) for m in range(4)]
    assert joined == sorted(joined, reverse=True)
    assert joined[3] < joined[0]
    by_task = [Lesions.of(mask, mask, grid, LesionRules.brats(task)) for task in ("GLI", "MET")]
    assert by_task[0].counted.sum() < by_task[1].counted.sum() < joined[0]


# --- rules


def test_rules_say_themselves_in_words():
    assert LesionRules().words == "26 neighbours"
    assert LesionRules.brats("GLI").words == "26 neighbours, joined within 3 dilations, above 50 mm³"
    assert LesionRules().words_of_found == "reached"
    assert LesionRules.lits().words_of_found == "merged, overlap > 0.5"


def test_rules_have_names():
    assert list(LESION_RULES) == ["plain", "GLI", "SSA", "PED", "MEN", "MET", "LITS"]
    assert LESION_RULES["MET"] == LesionRules.brats("MET")
    assert LESION_RULES["plain"] == LesionRules()


def test_rules_that_contradict_themselves_are_refused():
    with pytest.raises(ValidationError, match="found when they are reached have no overlap to exceed"):
        LesionRules(overlap=0.5)
    with pytest.raises(ValidationError, match=r"edges of sizes ascend, got \[2.0, 1.0\]"):
        LesionRules(edges_ml=(2.0, 1.0))
    with pytest.raises(ValidationError, match="6, 18 or 26"):
        LesionRules(connectivity=8)


def test_masks_that_do_not_fit_the_grid_are_refused():
    mask = np.zeros((2, 2, 2), bool)
    with pytest.raises(GeometryError, match=r"voxels of 1 x 1 x 1 mm\) have its shape, got \(2, 2, 2\) and"):
        Lesions.of(mask, mask, Geometry((2, 2, 3), np.eye(4)), LesionRules())
