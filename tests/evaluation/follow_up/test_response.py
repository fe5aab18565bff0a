import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.evaluation.follow_up import Response, Size, Target


def target(before, after, *, name="t", node=False, cut_before=False, cut_after=False):
    return Target(
        name=name,
        is_node=node,
        before_mm=before,
        after_mm=after,
        at_edge_before=cut_before,
        at_edge_after=cut_after,
    )


def category(*targets, nadir=None):
    return Response.of(targets, case="a", nadir_mm=nadir).category


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (100, 0, "CR"),
        (100, 70, "PR"),  # 30 % less, exactly
        (100, 70.5, "SD"),
        (100, 119.9, "SD"),
        (100, 120, "PD"),  # 20 % more, exactly
        (20, 24.5, "SD"),  # 22 % more, but not 5 mm
        (20, 25, "PD"),
        (30, 21, "PR"),
        (10, 10, "SD"),
    ],
)
def test_the_category_follows_the_thresholds_of_recist(before, after, expected):
    assert category(target(before, after)) == expected


def test_sums_are_over_all_targets():
    found = Response.of([target(30, 15, name="a"), target(50, 45, name="b")], case="x")
    assert (found.sum_before_mm, found.sum_after_mm, found.share) == (80, 60, -0.25)
    assert found.category == "SD"
    assert "Eisenhauer" in found.source


def test_growth_is_counted_from_the_smallest_sum_and_goes_before_shrinking():
    assert category(target(100, 65)) == "PR"
    assert category(target(100, 65), nadir=50) == "PD"
    assert category(target(100, 58), nadir=50) == "PR"  # 16 % above the smallest
    assert category(target(100, 58), nadir=200) == "PR"  # no sum so far was smaller than the baseline
    back = Response.of([target(40, 3)], case="x", nadir_mm=0)
    assert (back.category, back.reason) == ("PD", "lesions that were gone are back, 3.0 mm")


def test_a_node_is_gone_when_its_short_axis_is_below_ten_mm():
    assert category(target(18, 9.9, node=True)) == "CR"
    assert category(target(18, 10, node=True)) == "PR"
    assert category(target(18, 9, node=True), target(20, 0)) == "CR"
    assert category(target(18, 9, node=True), target(20, 2)) == "PR"


@given(st.lists(st.tuples(st.floats(10, 100), st.floats(0, 100)), min_size=1, max_size=5), st.floats(0.5, 2))
def test_more_growth_is_never_a_better_response(sizes, factor):
    order = ["CR", "PR", "SD", "PD"]
    one = category(*(target(before, after) for before, after in sizes))
    worse = category(*(target(before, after * (1 + factor)) for before, after in sizes))
    assert order.index(worse) >= order.index(one)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ([target(50, 80, cut_after=True)], "PD"),  # the whole is larger still
        ([target(50, 50, cut_after=True)], "NE"),
        ([target(50, 10, cut_after=True)], "NE"),
        ([target(50, 80, cut_before=True)], "NE"),
        ([target(50, 0, cut_before=True)], "NE"),
    ],
)
def test_parts_of_lesions_are_not_evaluable_unless_they_decide(targets, expected):
    found = Response.of(targets, case="x")
    assert found.category == expected
    if expected == "NE":
        assert found.reason == "cut off by the edge of a scan: t"


def test_what_recist_would_not_choose_is_noted():
    found = Response.of([target(8, 8, name="small"), target(14, 14, name="node", node=True)], case="x")
    assert found.notes == (
        "small: 8.0 mm before is not measurable, below 10 mm",
        "node: 14.0 mm before is not measurable, below 15 mm",
    )
    many = Response.of([target(20, 20, name=str(n)) for n in range(6)], case="x")
    assert many.notes == ("6 target lesions; RECIST counts at most five, two of an organ",)


def test_targets_that_were_not_there_at_baseline_are_refused():
    with pytest.raises(
        DataError, match=r"x: liver_2 is not there before\. Target lesions are chosen at baseline"
    ):
        Response.of([target(20, 20), target(0, 20, name="liver_2")], case="x")
    with pytest.raises(DataError, match="x: no target lesion is named"):
        Response.of([], case="x")


def test_lesions_count_with_their_longest_diameter_and_nodes_with_their_short_axis():
    before, after = (
        Size(volume_ml=1, long_mm=30, short_mm=12),
        Size(volume_ml=1, long_mm=20, short_mm=9, at_edge=True),
    )
    lesion, node = Target.of("a", before, after), Target.of("b", before, after, is_node=True)
    assert (lesion.before_mm, lesion.after_mm) == (30, 20)
    assert (node.before_mm, node.after_mm, node.at_edge_after) == (12, 9, True)
    with pytest.raises(DataError, match="a: was measured without its diameters"):
        Target.of("a", Size(volume_ml=1), after)
