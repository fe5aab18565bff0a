import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.evaluation.follow_up import Change, Repeatability, Size
from delineate.evaluation.follow_up.change import APPEARED, DISAPPEARED, UNKNOWN
from delineate.space import Geometry, LabelMap, LabelSchema
from delineate.space.phantoms import Ellipsoid

PERCENT, ML = Repeatability.given("25%"), Repeatability.given("2ml")
volumes = st.floats(0.01, 1000)
errors = st.sampled_from([PERCENT, ML])


def change(before, after, error=None, *, days=None, cut_before=False, cut_after=False):
    sizes = Size(volume_ml=before, at_edge=cut_before), Size(volume_ml=after, at_edge=cut_after)
    return Change.of(*sizes, error, case="a", structure="x", days=days)


@given(volumes, volumes, errors)
def test_what_grew_one_way_shrank_the_other(a, b, error):
    there, back = change(a, b, error), change(b, a, error)
    opposite = {"grew": "shrank", "shrank": "grew"}
    assert back.verdict == opposite.get(there.verdict, there.verdict)
    assert back.ml == -there.ml


@given(volumes, volumes, errors)
def test_the_verdict_is_what_its_intervals_say(a, b, error):
    found = change(a, b, error)
    for low, high in (found.ml_interval, found.share_interval):
        if found.verdict == "grew":
            assert low > 0
        elif found.verdict == "shrank":
            assert high < 0
        else:
            assert low <= 0 <= high
    assert found.ml_interval[0] <= found.ml <= found.ml_interval[1]
    assert found.share == pytest.approx((b - a) / a)


@pytest.mark.parametrize(
    ("before", "after", "error", "verdict"),
    [
        (100, 124, PERCENT, "no change beyond measurement error"),
        (100, 126, PERCENT, "grew"),
        (100, 81, PERCENT, "no change beyond measurement error"),
        (100, 79, PERCENT, "shrank"),
        (10, 11.9, ML, "no change beyond measurement error"),
        (10, 12.1, ML, "grew"),
        (10, 7.9, ML, "shrank"),
        (10, 50, None, "not judged"),
    ],
)
def test_a_change_is_one_where_it_is_larger_than_the_error(before, after, error, verdict):
    found = change(before, after, error)
    assert found.verdict == verdict
    assert found.note == (UNKNOWN if error is None else None)


def test_the_interval_holds_the_true_change():
    """A tumour that grew by 30 %, measured with an error of 5 %."""
    rng = np.random.default_rng(0)
    error = Repeatability(kind="relative", sd=0.05, source="known")
    inside = 0
    for _ in range(3000):
        before, after = np.array([20, 26]) * np.exp(rng.normal(0, 0.05, 2))
        low, high = change(before, after, error).share_interval
        inside += low <= 0.3 <= high
    assert inside / 3000 == pytest.approx(0.95, abs=0.012)


def test_rates_are_changes_divided_by_years():
    found = change(10, 12, PERCENT, days=182.625)
    assert found.ml_per_year == pytest.approx(4)
    assert found.share_per_year == pytest.approx(0.4)
    assert found.share_per_year_interval == pytest.approx([2 * end for end in found.share_interval])
    assert found.ml_per_year_interval == pytest.approx([2 * end for end in found.ml_interval])
    undated = change(10, 12, PERCENT)
    assert undated.ml_per_year is undated.share_per_year is undated.ml_per_year_interval is None


@pytest.mark.parametrize(
    ("before", "after", "error", "verdict", "note", "share"),
    [
        (0, 0, ML, "not judged", "there at neither visit", None),
        (0, 5, ML, "grew", APPEARED, None),
        (0, 1, ML, "no change beyond measurement error", APPEARED, None),
        (0, 1, PERCENT, "grew", APPEARED, None),
        (0, 1, None, "grew", APPEARED, None),
        (5, 0, PERCENT, "shrank", DISAPPEARED, -1),
        (1, 0, ML, "no change beyond measurement error", DISAPPEARED, -1),
    ],
)
def test_what_comes_and_goes_is_said_so(before, after, error, verdict, note, share):
    found = change(before, after, error)
    assert (found.verdict, found.note, found.share) == (verdict, note, share)


@pytest.mark.parametrize(
    ("before", "after", "cuts", "verdict"),
    [
        (10, 20, (False, True), "grew"),  # the whole is larger still
        (10, 5, (False, True), "not judged"),
        (10, 20, (True, False), "not judged"),
        (10, 5, (True, False), "shrank"),
        (10, 20, (True, True), "not judged"),
        (10, 10.1, (False, True), "not judged"),
        (0, 20, (False, True), "grew"),
    ],
)
def test_what_the_edge_cuts_off_is_judged_only_where_that_does_not_matter(before, after, cuts, verdict):
    found = change(before, after, PERCENT, cut_before=cuts[0], cut_after=cuts[1])
    assert found.verdict == verdict
    visits = " and ".join(name for name, cut in zip(("before", "after"), cuts, strict=True) if cut)
    assert f"cut off by the edge of the scan {visits}: its volume is a part" in found.note
    assert found.ml == after - before  # flagged, not zeroed


@pytest.mark.parametrize("days", [0, -30])
def test_a_second_visit_before_the_first_is_refused(days):
    with pytest.raises(DataError, match=f"a: the second visit is {days} days after the first"):
        change(10, 12, days=days)


# --- sizes

SCHEMA = LabelSchema.of("tumour")


def ball(radius, spacing, tilt_deg=0.0, shape=(64, 64, 48)):
    angle = math.radians(tilt_deg)
    affine = np.eye(4)
    affine[1:3, 1:3] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    affine[:3, :3] = affine[:3, :3] @ np.diag(spacing)
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    grid = Geometry(shape, affine)
    return LabelMap((Ellipsoid((0.2, -0.1, 0.3), (radius,) * 3).on(grid) < 0).astype(np.uint8), grid, SCHEMA)


def test_visits_on_different_grids_are_compared_by_their_millilitres():
    before = Size.of(ball(15, (1, 1, 1)), "tumour", diameters=True)
    after = Size.of(ball(15, (0.8, 0.8, 1.2), tilt_deg=20), "tumour", diameters=True)
    assert before.volume_ml == pytest.approx(4 / 3 * math.pi * 3.375, rel=0.01)
    found = Change.of(before, after, Repeatability.given("3%"), case="a", structure="tumour")
    assert found.share == pytest.approx(0, abs=0.01)
    assert found.verdict == "no change beyond measurement error"
    assert after.long_mm == pytest.approx(30, abs=0.8)


def test_a_size_knows_whether_it_is_a_part():
    assert not Size.of(ball(15, (1, 1, 1)), "tumour").at_edge
    cut = Size.of(ball(30, (1, 1, 1)), "tumour")
    assert cut.at_edge
    assert cut.volume_ml > 0
    assert cut.long_mm is None


@pytest.mark.parametrize("shape", [(4, 4, 4), (4, 4, 1), (1, 1, 1)])
def test_nothing_and_one_voxel_have_sizes(shape):
    grid = Geometry(shape, np.diag([2.0, 3.0, 4.0, 1.0]))
    array = np.zeros(shape, np.uint8)
    assert Size.of(LabelMap(array, grid, SCHEMA), "tumour", diameters=True) == Size(
        volume_ml=0, long_mm=0, short_mm=0
    )
    array[0, 0, 0] = 1
    one = Size.of(LabelMap(array, grid, SCHEMA), "tumour", diameters=True)
    assert (one.volume_ml, one.long_mm, one.short_mm) == pytest.approx((0.024, 3, 2))
    assert one.at_edge == (shape != (1, 1, 1))


def test_a_lesion_in_one_sagittal_plane_is_measured_in_axial_slices_all_the_same():
    array = np.zeros((8, 20, 20), np.uint8)
    array[4, 5:10, 3:18] = 1
    found = Size.of(LabelMap(array, Geometry(array.shape, np.eye(4)), SCHEMA), "tumour", diameters=True)
    assert (found.long_mm, found.short_mm) == pytest.approx((5, 1))
