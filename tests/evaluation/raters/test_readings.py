"""Two readers of one case: what is said of them is what formulas, and the measures of reports, say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.errors import DataError, GeometryError
from delineate.evaluation import Confusion, Rules, evaluate_case
from delineate.evaluation.raters.fusion import FusionRules
from delineate.evaluation.raters.readings import fleiss_kappa, read_case
from delineate.space import Geometry, LabelMap, LabelSchema

SCHEMA = LabelSchema.of("lesion")
SHAPE = (6, 5, 4)
OBLIQUE = np.array([[0.8, 0.1, 0.0, 5.0], [-0.2, 1.1, 0.3, -3.0], [0.0, 0.2, 2.5, 1.0], [0, 0, 0, 1.0]])


def map_of(array, affine=None, schema=SCHEMA):
    array = np.asarray(array, np.uint8)
    return LabelMap(array, Geometry(array.shape, np.eye(4) if affine is None else affine), schema)


def ball(radius, size=24):
    place = np.moveaxis(np.indices((size, size, size)), 0, -1) - (size - 1) / 2
    return (np.linalg.norm(place, axis=-1) < radius).astype(np.uint8)


def pair_of(one, other, affine=None, **more):
    return read_case("a", {"ann": map_of(one, affine), "bob": map_of(other, affine)}, **more).pairings[0]


masks = hnp.arrays(np.uint8, SHAPE, elements=st.sampled_from([0, 0, 1]))


@given(masks, masks)
def test_a_pair_has_the_dice_and_the_hd95_of_a_report(one, other):
    found = pair_of(one, other, OBLIQUE)
    rows = evaluate_case(
        map_of(one, OBLIQUE), map_of(other, OBLIQUE), "a", rules=Rules(metrics=("dice", "hd95"))
    )
    expected = {row.metric: row.value for row in rows}
    assert found.dice == pytest.approx(expected["dice"])
    assert found.hd95_mm == pytest.approx(expected["hd95"])


@given(masks, masks)
def test_cohens_kappa_is_agreement_beyond_chance(one, other):
    found = pair_of(one, other, rules=FusionRules(margin_mm=None)).kappa
    counts = Confusion.of(one > 0, other > 0)
    n, a, b = one.size, counts.reference / one.size, counts.prediction / one.size
    agreed = (counts.true_positive + counts.true_negative) / n
    chance = a * b + (1 - a) * (1 - b)
    assert found == (pytest.approx((agreed - chance) / (1 - chance)) if chance < 1 else None)


def test_fleiss_kappa_is_that_of_his_own_kind_of_table():
    """Ten items, fourteen raters, five categories: the worked example that textbooks give."""
    table = np.array(
        [
            [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
            [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
        ],
        dtype=float,
    )  # fmt: skip
    assert fleiss_kappa(table, np.ones(10)) == pytest.approx(0.210, abs=5e-4)
    assert fleiss_kappa(np.repeat(table, 2, axis=0), np.full(20, 0.5)) == pytest.approx(0.210, abs=5e-4)


def test_kappa_is_missing_where_there_was_no_choice_or_nobody_to_agree_with():
    assert np.isnan(fleiss_kappa(np.array([[3.0, 0.0]]), np.array([9.0])))
    assert np.isnan(fleiss_kappa(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([5.0, 5.0])))


@given(masks, masks)
def test_volume_bias_and_offset_change_their_sign_with_the_order(one, other):
    there, back = pair_of(one, other, OBLIQUE), pair_of(other, one, OBLIQUE)
    for name in ("volume_bias", "offset_mm"):
        value, turned = getattr(there, name), getattr(back, name)
        assert (value is None) == (turned is None)
        assert value is None or value == pytest.approx(-turned)
    assert there.dice == back.dice
    assert there.hd95_mm == pytest.approx(back.hd95_mm)


@pytest.mark.parametrize("spacing", [1.0, 2.5])
def test_a_ball_that_is_two_voxels_larger_lies_two_voxels_further_out(spacing):
    affine = np.diag([spacing, spacing, spacing, 1.0])
    found = pair_of(ball(8), ball(6), affine)
    assert found.offset_mm == pytest.approx(2 * spacing, rel=0.1)
    assert found.volume_bias == pytest.approx((8**3 - 6**3) / ((8**3 + 6**3) / 2), rel=0.05)


def test_a_shifted_shape_has_a_distance_but_no_offset():
    found = pair_of(ball(6), np.roll(ball(6), 3, axis=0))
    assert found.hd95_mm > 2
    assert found.offset_mm == pytest.approx(0, abs=1e-9)
    assert found.volume_bias == 0


def roughness(array, affine=None):
    maps = {"ann": map_of(array, affine), "bob": map_of(array, affine)}
    return read_case("a", maps).readings[0].roughness


def test_roughness_is_the_surface_for_the_volume_and_knows_no_scale():
    cube = np.zeros((9, 9, 9))
    cube[2:6, 2:6, 2:6] = 1
    assert roughness(cube) == pytest.approx(6**1.5)
    assert roughness(cube, np.diag([3.0, 3.0, 3.0, 1.0])) == pytest.approx(6**1.5)
    assert roughness(np.ones((4, 4, 4))) == pytest.approx(6**1.5)  # the end of the scan is an end
    ragged = cube.copy()
    ragged[2:6:2, 2:6:2, 6] = 1
    assert roughness(ragged) > 1.1 * roughness(cube)


def test_in_a_picture_roughness_is_that_of_the_contour():
    square = np.zeros((9, 9, 1))
    square[2:6, 2:6] = 1
    assert roughness(square) == pytest.approx(16)
    assert roughness(square, np.diag([0.5, 0.5, 7.0, 1.0])) == pytest.approx(16)
    assert roughness(np.ones((5, 1, 1))) == pytest.approx(12**2 / 5)  # a row of five voxels


def test_a_shape_in_one_slice_of_a_scan_is_no_picture():
    """All its voxels are border, so nothing lies inside."""
    slab, larger = np.zeros((2, 12, 12, 5))
    slab[3:9, 3:9, 2], larger[2:10, 2:10, 2] = 1, 1
    expected = evaluate_case(map_of(slab), map_of(larger), "a", rules=Rules(metrics=("hd95",)))[0].value
    assert pair_of(slab, larger).hd95_mm == pytest.approx(expected)
    assert roughness(slab) == pytest.approx((2 * 36 + 24) ** 1.5 / 36)


def test_nothing_against_something_is_zero_and_has_no_distance():
    found = pair_of(ball(5), np.zeros((24, 24, 24)))
    assert (found.dice, found.hd95_mm, found.offset_mm, found.volume_bias) == (0.0, None, None, 2.0)


def test_nothing_against_nothing_is_missing():
    found = pair_of(np.zeros(SHAPE), np.zeros(SHAPE))
    values = (found.dice, found.hd95_mm, found.offset_mm, found.volume_bias, found.kappa)
    assert values == (None,) * 5


def test_one_voxel_at_the_border_is_a_shape():
    voxel = np.zeros(SHAPE)
    voxel[0, 0, 0] = 1
    found = pair_of(voxel, np.roll(voxel, 2, axis=0))
    assert (found.dice, found.hd95_mm) == (0.0, 2.0)


# --- consensus


def test_each_rater_is_held_against_the_others_and_the_model_against_the_same():
    maps = {name: map_of(ball(radius)) for name, radius in (("ann", 6), ("bob", 6), ("cat", 8))}
    found = read_case("a", maps, model=("net", map_of(ball(8))), rules=FusionRules(method="majority"))
    of = {reading.reader: reading for reading in found.readings}
    small, large = ball(6).sum(), ball(8).sum()
    assert of["cat"].dice_of_others == pytest.approx(2 * small / (small + large))
    assert of["cat"].model_of_others == of["cat"].dice_of_others  # the model drew what cat drew
    assert of["ann"].dice_of_others == 1.0  # bob and cat tie where cat alone is, and ties are background
    assert of["net"].dice_of_others is None
    assert of["net"].model_of_others is None
    assert [found.sittings[0].raters, found.sittings[0].consensus_voxels] == [3, small]


@given(st.lists(masks, min_size=2, max_size=4), masks)
def test_a_model_changes_nothing_that_is_said_of_people(arrays, model):
    maps = {f"rater {n}": map_of(array) for n, array in enumerate(arrays)}
    rules = FusionRules(margin_mm=1)
    alone, among = (
        read_case("a", maps, rules=rules),
        read_case("a", maps, model=("net", map_of(model)), rules=rules),
    )
    assert alone.sittings == tuple(map(rounded, among.sittings, alone.sittings))
    pairs = [pair for pair in among.pairings if pair.other != "net"]
    assert alone.pairings == tuple(map(rounded, pairs, alone.pairings))
    told = [r.but(model_of_others=None) for r in among.readings if r.reader != "net"]
    assert alone.readings == tuple(map(rounded, told, alone.readings))


def rounded(record, like):
    """The record with the numbers of another one where they differ by rounding only."""
    near = {
        name: value
        for name, value in dict(like).items()
        if isinstance(value, float) and getattr(record, name) == pytest.approx(value, abs=1e-6)
    }
    return record.but(**near)


def test_what_is_left_open_is_not_compared():
    schema = LabelSchema.of("lesion").but(ignore=9)
    one, other = np.zeros((2, *SHAPE))
    one[:3], other[:2] = 1, 1
    other[2] = 9  # where they would differ
    maps = {"ann": map_of(one, schema=schema), "bob": map_of(other, schema=schema)}
    found = read_case("a", maps, rules=FusionRules(margin_mm=1)).pairings[0]
    assert found.dice == found.kappa == 1.0
    assert found.volume_bias == found.hd95_mm == 0


def test_sensitivity_and_specificity_are_of_the_field_of_view():
    """Two of three agree: the third misses half of it and draws as much beside it."""
    true, wrong = np.zeros((2, 8, 4, 4))
    true[:4], wrong[2:6] = 1, 1
    maps = {"ann": map_of(true), "bob": map_of(true), "cat": map_of(wrong)}
    found = read_case("a", maps, rules=FusionRules(method="majority", margin_mm=0)).readings[2]
    assert found.sensitivity == 0.5
    assert found.specificity == 0.0  # the field ends where the last of them ends: nothing else is in it
    whole = read_case("a", maps, rules=FusionRules(method="majority", margin_mm=None)).readings[2]
    assert whole.specificity == 0.5


def test_different_grids_are_refused_by_case():
    with pytest.raises(GeometryError, match=r"(?s)case_3: ann and bob.*different grids"):
        read_case("case_3", {"ann": map_of(np.ones((2, 2, 2))), "bob": map_of(np.ones((2, 2, 3)))})


def test_nobody_is_refused():
    with pytest.raises(DataError, match="at least one rater"):
        read_case("a", {})


def test_one_rater_is_read_alone():
    found = read_case("a", {"ann": map_of(ball(5))})
    assert not found.pairings
    assert found.readings[0].dice_of_others is None
    assert found.readings[0].dice == 1.0
